package cgroups

import (
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// hugetlbV1 also knows v2's files: a hybrid host may have this controller in
// the v2 tree.
func hugetlbV1(c *compiler, r *specs.LinuxResources) {
	hugetlb(c, r, "limit_in_bytes", "max")
}

func hugetlbV2(c *compiler, r *specs.LinuxResources) {
	hugetlb(c, r, "max")
}

// hugetlb limits the huge pages that are in use and, where the kernel counts
// them (Linux 5.7), those that are reserved. With the first limit alone a
// process gets its mapping, and dies of SIGBUS where it touches it.
func hugetlb(c *compiler, r *specs.LinuxResources, files ...string) {
	for i, h := range r.HugepageLimits {
		field := "hugepageLimits[" + strconv.Itoa(i) + "]"
		if !isPageSize(h.Pagesize) {
			c.fail(field+".pageSize", "%q is not a size such as 64KB, 2MB or 1GB", h.Pagesize)
			continue
		}
		for n, file := range files {
			c.add(Write{Controller: "hugetlb", File: "hugetlb." + h.Pagesize + "." + file,
				Value: utoa(h.Limit), Field: field, Else: n > 0})
		}
		for _, file := range files {
			c.add(Write{Controller: "hugetlb", File: "hugetlb." + h.Pagesize + ".rsvd." + file,
				Value: utoa(h.Limit), Field: field, Optional: true})
		}
	}
}

// isPageSize tells whether the kernel may name a size like this. Whether it has
// pages of it, its files tell.
func isPageSize(s string) bool {
	number, ok := strings.CutSuffix(s, "B")
	if !ok || len(number) < 2 || number[0] == '0' {
		return false
	}
	last := len(number) - 1
	return strings.IndexByte("KMG", number[last]) >= 0 && strings.Trim(number[:last], "0123456789") == ""
}
