package cli

import (
	"slices"
	"strings"
	"testing"
)

func TestFlagsFirst(t *testing.T) {
	app := (&app{}).command()
	for line, want := range map[string]string{
		"delete x":                             "delete -- x",
		"delete x --force":                     "delete --force -- x",
		"delete -f x":                          "delete -f -- x",
		"--root /r --debug delete x -force":    "--root /r --debug delete -force -- x",
		"--root=/r delete x":                   "--root=/r delete -- x",
		"run x -b /b -d":                       "run -b /b -d -- x",
		"run --bundle=/b x --pid-file p":       "run --bundle=/b --pid-file p -- x",
		"run x -- --keep":                      "run -- x --keep",
		"run x --pid-file":                     "run --pid-file",
		"create --bundle - x":                  "create --bundle - -- x",
		"kill x -9":                            "kill x -9",
		"exec x ls -l":                         "exec x ls -l",
		"--log f exec -t x ls -e --force":      "--log f exec --tty x ls -e --force",
		"exec -e A=-t --env=-e -e=B -c x y -p": "exec --env A=-t --env=-e --env=B --cap x y -p",
		"exec -e -t -- -e":                     "exec --env -t -- -e",
		"exec -e":                              "exec --env",
		"exec -x y":                            "exec -x y",
		"frobnicate x --y":                     "frobnicate x --y",
		"--version":                            "--version",
		"--log-format json --log /l list x -q": "--log-format json --log /l list -q -- x",
		"--root":                               "--root",
		"":                                     "",
	} {
		args := append([]string{"skep"}, strings.Fields(line)...)
		if got := flagsFirst(app, args); !slices.Equal(got[1:], strings.Fields(want)) {
			t.Errorf("%s: %s, want %s", line, strings.Join(got[1:], " "), want)
		}
	}
}
