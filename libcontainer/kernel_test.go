package libcontainer

import "testing"

func TestParseRelease(t *testing.T) {
	for release, want := range map[string][2]int{
		"6.1.0-18-amd64": {6, 1}, "5.12-rc3": {5, 12}, "6.18.3": {6, 18}, "5.4": {5, 4}, "4.19.0+": {4, 19}, "nonsense": {0, 0},
	} {
		if major, minor := parseRelease(release); [2]int{major, minor} != want {
			t.Errorf("%s: got %d.%d", release, major, minor)
		}
	}
	if err := checkKernel(); err != nil {
		t.Errorf("on this kernel: %v", err)
	}
}
