package plan

// Tail describes the records of a phase that follow AwaitStart. Whoever reads their verdict is another process,
// which has not lowered the phase.
type Tail struct {
	First int      `json:"first,omitempty"` // index of the first of these records
	Steps []string `json:"steps,omitempty"` // for each record its step
}

// TailOf lowers the phase's steps to find where each record belongs.
func TailOf(p *Phase) Tail {
	l := &Lowering{}
	var t Tail
	waits := false
	for _, s := range p.Steps {
		before := len(l.records)
		s.Lower(l)
		if waits {
			for range len(l.records) - before {
				t.Steps = append(t.Steps, s.String())
			}
		}
		if _, ok := s.(AwaitStart); ok {
			waits, t.First = true, len(l.records)
		}
	}
	return t
}

// At returns the step of a record, and whether it is the last one, the exec.
func (t Tail) At(index int) (step string, last bool) {
	i := index - t.First
	if i < 0 || i >= len(t.Steps) {
		return AwaitStart{}.String(), false
	}
	return t.Steps[i], i == len(t.Steps)-1
}
