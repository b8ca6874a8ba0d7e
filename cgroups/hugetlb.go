package cgroups

import specs "github.com/opencontainers/runtime-spec/specs-go"

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
		field := item("hugepageLimits", i)
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
