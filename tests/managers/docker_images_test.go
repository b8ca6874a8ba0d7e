package managers

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dockerImageCases: files and images from containers, and builds.
var dockerImageCases = []dockerCase{
	{"Copy", func(c *docker) {
		c.detach(`exec sleep 1000`, "--tmpfs", "/scratch")
		dir := tempDir(c.T)
		writeFile(c.T, filepath.Join(dir, "in"), "from the host\n")
		c.docker("cp", filepath.Join(dir, "in"), c.id+":/home/user/").succeed(c.T)
		c.equal("copied in", c.exec("cat", "/home/user/in"), "from the host")
		c.execCall(nil, "sh", "-c", `mkdir /tree; echo from inside >/tree/file; ln -s file /tree/link`).succeed(c.T)
		c.docker("cp", c.id+":/tree", dir).succeed(c.T)
		c.equal("copied out", readFile(c.T, filepath.Join(dir, "tree/link")), "from inside")
		c.docker("kill", c.id).succeed(c.T)
		c.docker("cp", c.id+":/tree/file", filepath.Join(dir, "stopped")).succeed(c.T)
		c.equal("copied from the stopped container", readFile(c.T, filepath.Join(dir, "stopped")), "from inside")
	}},
	{"DiffCommitExport", func(c *docker) {
		c.detach(`echo new >/added; rm /etc/group; ` + ready + `exec sleep 1000`)
		c.awaitReady()
		diff := slices.Sorted(strings.SplitSeq(c.docker("diff", c.id).succeed(c.T), "\n")) // its order varies
		c.equal("diff", strings.Join(diff, "\n"), "A /added\nC /etc\nD /etc/group")
		image := "skep.test/committed:latest"
		c.docker("commit", "--change", `CMD ["cat", "/added"]`, c.id, image).succeed(c.T)
		c.Cleanup(func() { c.docker("rmi", image).succeed(c.T) })
		c.equal("committed", c.output(c.docker("run", "--rm", image)), "new")
		archive := filepath.Join(tempDir(c.T), "root.tar")
		c.docker("export", "--output", archive, c.id).succeed(c.T)
		c.equal("exported", run(c.T, "tar", "-xOf", archive, "added"), "new")
	}},
	{"BuildClassic", func(c *docker) { c.build("DOCKER_BUILDKIT=0", "returned a non-zero code: 5") }},
	{"BuildKit", func(c *docker) {
		runs := func() int { return strings.Count(readFileOrNothing(c.calls), " run ") }
		before := runs()
		c.build("DOCKER_BUILDKIT=1", "exit code: 5")
		c.equal("runs of the runtime", fmt.Sprint(runs()-before), "3")
	}},
}

// build builds an image and runs it; then it builds one with a step that
// fails.
func (c *docker) build(builder, failure string) {
	c.Helper()
	dir := tempDir(c.T)
	writeFile(c.T, filepath.Join(dir, "file"), "from the context\n")
	const file = `
FROM ` + busyboxImage + ` AS first
ARG COLOUR
RUN echo $COLOUR $(id -u) $BAKED >/made && chown 1000:1000 /made && [ $$ = 1 ]
FROM ` + busyboxImage + `
COPY --from=first /made /made
COPY file /file
USER user
WORKDIR /home/user
RUN cat /made /file >all && id -un >>all && grep -c '^CapEff:.0*$' /proc/self/status >>all && cat /proc/sys/kernel/hostname >/dev/null
CMD ["cat", "all"]
`
	build := func(image, content string) call {
		writeFile(c.T, filepath.Join(dir, "Dockerfile"), content)
		call := c.docker("build", "--build-arg", "COLOUR=amber "+c.id, "--tag", image, dir)
		call.env = []string{builder}
		return call
	}
	image := "skep.test/" + c.id + ":latest"
	build(image, file).succeed(c.T)
	c.Cleanup(func() { c.docker("rmi", image).succeed(c.T) })
	c.equal("image", c.output(c.runCall(image)), "amber "+c.id+" 0 in\nfrom the context\nuser\n1")
	build(image+"-2", "FROM "+busyboxImage+"\nRUN echo "+c.id+"; exit 5\n").refuse(c.T, failure)
	// What failed is left for a look, and the stages without a name.
	c.docker("container", "prune", "--force").succeed(c.T)
	c.docker("image", "prune", "--force").succeed(c.T)
}

// countCalls puts a runc first in PATH that is the runtime under test, because
// BuildKit in dockerd knows no other name. It returns the file where the
// command lines are noted.
func countCalls(t *testing.T) (calls string) {
	t.Helper()
	dir := tempDir(t)
	calls = filepath.Join(dir, "calls")
	script := "#!/bin/sh\necho \"$*\" >>" + calls + "\nexec " + runtimeUnderTest + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "runc"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return calls
}
