package local

import "syscall"

// dieWithParent has the kernel kill the process when airbuild itself is
// killed, so that kill -9 leaves nothing running.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
