package spec

// An Entry ties a name of the specification to what the kernel calls it.
type Entry[K ~string, V comparable] struct {
	Name  K
	Value V
}

// A Table is one enumeration of the specification. The tables hold at most a
// few dozen entries, so a scan beats a map, which would be built at each start
// of the program.
type Table[K ~string, V comparable] []Entry[K, V]

// Lookup returns the value of a name.
func (t Table[K, V]) Lookup(name K) (V, bool) {
	for i := range t {
		if t[i].Name == name {
			return t[i].Value, true
		}
	}
	var zero V
	return zero, false
}

// Has reports whether the name belongs to the enumeration.
func (t Table[K, V]) Has(name K) bool {
	_, ok := t.Lookup(name)
	return ok
}

// Names lists the enumeration as the features command prints it.
func (t Table[K, V]) Names() []string {
	names := make([]string, len(t))
	for i := range t {
		names[i] = string(t[i].Name)
	}
	return names
}

// A List is an enumeration whose names have no number of their own.
type List[K ~string] []K

// Has reports whether the name belongs to the enumeration.
func (l List[K]) Has(name K) bool {
	for _, n := range l {
		if n == name {
			return true
		}
	}
	return false
}

// Names lists the enumeration as the features command prints it.
func (l List[K]) Names() []string {
	names := make([]string, len(l))
	for i, n := range l {
		names[i] = string(n)
	}
	return names
}
