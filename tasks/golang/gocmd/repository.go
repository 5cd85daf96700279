package gocmd

import (
	"os"
	"path/filepath"
)

// Repository returns the top of the git repository that the go command finds from the
// project: its own, or one around it. It is not at hand for the go command where .git
// is not a directory, as in a linked work tree, or where the project came without git;
// top is then what holds the project, itself if nothing else does.
func (c *Config) Repository() (top string, atHand bool) {
	for dir := c.Root; ; dir = filepath.Dir(dir) {
		if info, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return dir, info.IsDir()
		}
		if dir == c.Root && exists(filepath.Join(dir, "source.json")) || dir == filepath.Dir(dir) {
			return c.Root, false
		}
	}
}

// OwnRepository reports whether the project's root has a repository that the go
// command finds there.
func (c *Config) OwnRepository() bool {
	top, atHand := c.Repository()
	return atHand && top == c.Root
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}
