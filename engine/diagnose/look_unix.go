//go:build unix

package diagnose

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Look tells who owns the file, or the nearest folder above it that can be seen.
func Look(name string) (Access, bool) {
	if !strings.HasPrefix(name, "/") {
		return Access{}, false
	}
	for {
		info, err := os.Lstat(name)
		if err == nil {
			a := Access{Path: name, Mode: info.Mode().String(), User: userName(uint32(os.Geteuid()))}
			if s, ok := info.Sys().(*syscall.Stat_t); ok {
				a.Owner = userName(s.Uid)
			}
			return a, true
		}
		if name == "/" {
			return Access{}, false
		}
		name = filepath.Dir(name)
	}
}

func userName(id uint32) string {
	if id == 0 {
		return "root"
	}
	return fmt.Sprintf("uid %d", id)
}
