// Package spec reads a bundle's config.json, decides whether it says something
// that can be done, and holds the tables that tie the names of the OCI runtime
// specification to the numbers of the kernel.
//
// [Load] decodes strictly (the specification forbids duplicate names and
// invalid UTF-8, which encoding/json lets pass), [Validate] reports every
// problem of a configuration at once, each with its JSON path. The result is
// a plain [specs.Spec]: the compilers in rootfs, cgroups and libcontainer read
// that, there is no second configuration type.
//
// Each enumeration of the specification is one table in a file of its own,
// used by validation, by the features command and by the compilers.
package spec
