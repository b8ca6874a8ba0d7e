package plan

// Join makes one phase of several between which the conductor has nothing to do: each message costs two switches
// between parent and child. It takes as many as fit, at least one, and returns the rest.
func Join(phases []*Phase) (joined *Phase, rest []*Phase) {
	if len(phases) == 1 {
		return phases[0], nil
	}
	joined = &Phase{Name: phases[0].Name}
	for i, p := range phases {
		if i > 0 && (joined.Forks() || !joined.Room(len(p.Inputs))) {
			return joined, phases[i:]
		}
		for _, s := range p.Steps {
			joined.Steps = append(joined.Steps, moved{s, uint64(len(joined.Inputs)), p.Name})
		}
		joined.Inputs = append(joined.Inputs, p.Inputs...)
	}
	return joined, nil
}

// moved is a step whose phase has become part of another: its inputs have moved up.
type moved struct {
	Step  Step
	By    uint64
	Phase string
}

// Lower lowers the step and moves its inputs.
func (m moved) Lower(l *Lowering) {
	first := len(l.records)
	m.Step.Lower(l)
	if m.By == 0 {
		return
	}
	for i := first; i < len(l.records); i++ {
		r := &l.records[i]
		for k, a := range r.args {
			kind := r.kind(k)
			if (kind == slotValue || kind == slotAddr) && a >= uint64(input0) && a < result0 {
				r.args[k] = a + m.By
			}
		}
		if r.store >= uint8(input0) && r.store < result0 {
			r.store += uint8(m.By)
		}
	}
}
func (m moved) String() string { return m.Step.String() }
