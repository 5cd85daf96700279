//go:build unix

package deploy

import (
	"os/exec"
	"syscall"
)

// inGroup gives a command its own process group, so that to stop it stops what
// it waits for too.
func inGroup(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGTERM) }
}
