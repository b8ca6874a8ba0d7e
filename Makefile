# make          one static binary, ./skep
# make test     everything a change has to pass: build, lint, unit and container tests
# make demo     what a container of skep's looks like
# make help     the other targets
#
# Exit status 2 with one sentence means that this machine lacks something.

PREFIX  ?= /usr/local
DESTDIR ?=

# The static binary is linked with musl, because glibc's start-up executes CPUID
# dozens of times, each of them a VM exit: 0.6 ms per exec in a virtual machine.
CC_STATIC  := musl-gcc
LIBSECCOMP := $(CURDIR)/build/libseccomp

# Empty in an unpacked archive; the version itself stands in VERSION.
COMMIT := $(shell git describe --always --abbrev=40 --exclude='*' --dirty 2>/dev/null)

# cli's documentation generator compiles regular expressions at start-up: 0.3 ms. The others
# keep libc's resolver and user database out of a static binary.
TAGS := urfave_cli_no_docs,netgo,osusergo

# Go's build cache does not see another libseccomp at the same path; it sees the macro.
STATIC_ENV = CGO_ENABLED=1 CC=$(CC_STATIC) \
	CGO_CFLAGS="-O2 -I$(LIBSECCOMP)/kernel -DLIBSECCOMP_BUILT=$$(cksum <$(LIBSECCOMP)/built-from | cut -d' ' -f1)" \
	PKG_CONFIG_LIBDIR=$(LIBSECCOMP)/lib/pkgconfig

GOLANGCI_LINT := build/bin/golangci-lint-v2.15.0
GOTESTSUM     := build/bin/gotestsum-v1.13.0

.PHONY: build test test-managers test-crio test-vm unit lint lint-arm64 checklist import-check demo install clean help needs-build needs-test

# The build id is left out because it hashes the paths of this machine: without it the
# same commit gives the same bytes anywhere.
build: needs-build ## one static binary, ./skep
	@CC=$(CC_STATIC) scripts/libseccomp.sh $(LIBSECCOMP)
	$(STATIC_ENV) go build -trimpath -buildvcs=false -tags $(TAGS) -o skep \
		-ldflags '-s -w -buildid= -linkmode external -extldflags "-static" -X main.commit=$(COMMIT)' .

test: build lint $(GOTESTSUM) ## everything a change has to pass; the container tests need root
	SKEP_BINARY=$(CURDIR)/skep GOTESTSUM=$(CURDIR)/$(GOTESTSUM) scripts/test.sh

# MANAGERS_RUNTIME=/usr/sbin/runc runs the same cases with runc.
test-managers: $(GOTESTSUM) ## containerd, Docker and Podman with skep; needs root
	@scripts/need.sh root managers
	@$(MAKE) --no-print-directory build
	SKEP_BINARY=$(CURDIR)/skep GOTESTSUM=$(CURDIR)/$(GOTESTSUM) scripts/test.sh ./tests/managers

# Builds CRI-O, for which Debian 12 has no packages, the first time. With it test-managers and test-vm try it too.
test-crio: $(GOTESTSUM) ## CRI-O with skep; needs root, and minutes to build it
	@scripts/need.sh root test managers crio
	@$(MAKE) --no-print-directory build
	scripts/crio.sh build/crio
	SKEP_BINARY=$(CURDIR)/skep $(GOTESTSUM) --format pkgname -- -count=1 -timeout 20m -run CRIO ./tests/managers

# Machines are emulated where KVM does not work, and some ten times slower then. VM_FLAGS='-only v1 -run Update'
# chooses configurations and tests.
test-vm: ## the container tests on pure cgroup v2, v1 and hybrid, and managers with systemd, in virtual machines
	@scripts/need.sh vm
	@$(MAKE) --no-print-directory build
	CGO_ENABLED=0 go build -o build/vm ./tests/vm
	build/vm test -skep skep $(VM_FLAGS)

unit: needs-test ## go test of every package that needs no container
	go test $$(go list ./... | grep -v '/tests\(/\|$$\)')

lint: needs-test $(GOLANGCI_LINT) ## formatting, vet, golangci-lint, shellcheck, C warnings, sizes
	GOLANGCI_LINT=$(GOLANGCI_LINT) scripts/lint.sh

lint-arm64: ## go vet for arm64; needs its cross compiler
	@scripts/need.sh cross
	GOARCH=arm64 CGO_ENABLED=1 CC=aarch64-linux-gnu-gcc go vet ./...

checklist: ## the requirements of docs/conformance.md that no test names
	@go run ./scripts/checklist

import-check: needs-test ## build the README's library example from another module
	scripts/import-check.sh

demo: ## what a container of skep's looks like; needs root
	@scripts/need.sh root demo
	@$(MAKE) --no-print-directory build
	@scripts/demo.sh

install: ## install ./skep below $(DESTDIR)$(PREFIX)
	@test -x skep || { echo 'make install: build first, with make' >&2; exit 2; }
	install -D -m 0755 skep $(DESTDIR)$(PREFIX)/bin/skep
	@for page in docs/man/*.8; do \
		[ -e "$$page" ] || continue; \
		install -D -m 0644 "$$page" "$(DESTDIR)$(PREFIX)/share/man/man8/$${page##*/}" || exit; \
	done

clean: ## remove what make has made
	rm -rf build skep

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

needs-build:
	@scripts/need.sh build

needs-test:
	@scripts/need.sh test

$(GOLANGCI_LINT):
	scripts/tool.sh github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(subst build/bin/golangci-lint-,,$@) $@

$(GOTESTSUM):
	scripts/tool.sh gotest.tools/gotestsum@$(subst build/bin/gotestsum-,,$@) $@
