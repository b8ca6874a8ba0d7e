package plan

import (
	"errors"
	"fmt"
)

// SlotSet is a set of slots.
type SlotSet uint64

// Has reports whether s is in the set.
func (m SlotSet) Has(s Slot) bool { return m>>s&1 != 0 }

// Add puts s into the set.
func (m *SlotSet) Add(s Slot) { *m |= 1 << s }

// check proves what can be proven before a phase is sent. A slot counts as defined once a record that stores
// into it precedes; whether that record was skipped only the kernel knows, and EBADF tells.
func check(p *Phase, l *Lowering, known *SlotSet) error {
	if len(p.Inputs) > MaxInputs {
		return fmt.Errorf("%d descriptors, %d fit into one phase", len(p.Inputs), MaxInputs)
	}
	if err := checkSteps(p.Steps); err != nil {
		return err
	}
	known.Add(Control)
	for i := range p.Inputs {
		known.Add(Input(i))
	}
	for i := range l.records {
		r := &l.records[i]
		for k, a := range r.args {
			switch r.kind(k) {
			case slotValue:
				if a >= Slots || !known.Has(Slot(a)) {
					return fmt.Errorf("%s: slot %s is used before it is defined", p.Steps[r.step], Slot(a))
				}
			case slotAddr:
				if a >= Slots {
					return fmt.Errorf("%s: there is no slot %d", p.Steps[r.step], a)
				}
				known.Add(Slot(a))
			}
		}
		for _, o := range r.on {
			if o.result != noOutcome && i+1+int(o.skip) > len(l.records) {
				return fmt.Errorf("%s: skips out of the phase", p.Steps[r.step])
			}
		}
		if r.store != noStore {
			if r.store >= Slots {
				return fmt.Errorf("%s: there is no slot %d", p.Steps[r.step], r.store)
			}
			known.Add(Slot(r.store))
		}
	}
	return nil
}

func checkSteps(steps []Step) error {
	filtered := false
	for i, s := range steps {
		inner, _ := unwrap(s)
		switch inner.(type) {
		case Exec:
			if i != len(steps)-1 {
				return errors.New("a step follows exec")
			}
		case Fork:
			if i != len(steps)-1 {
				return errors.New("a step follows the fork")
			}
		case Seccomp:
			filtered = true
		case Export:
			if filtered {
				return fmt.Errorf("%s: nothing but the listener leaves after the seccomp filter", s)
			}
		}
	}
	return nil
}
