//go:build linux || openbsd || dragonfly || solaris || aix

package tree

import "syscall"

func ctime(s *syscall.Stat_t) int64 { return int64(s.Ctim.Sec)*1e9 + int64(s.Ctim.Nsec) }
