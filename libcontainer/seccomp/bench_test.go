package seccomp

import (
	"path/filepath"
	"testing"
)

func BenchmarkCompile(b *testing.B) {
	p := dockerProfile(b)
	for b.Loop() {
		if _, err := Compile(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCached(b *testing.B) {
	p, dir := dockerProfile(b), filepath.Join(b.TempDir(), "@seccomp")
	for b.Loop() {
		if _, err := Cached(dir, p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCacheKey(b *testing.B) {
	p := dockerProfile(b)
	for b.Loop() {
		cacheKey(p)
	}
}
