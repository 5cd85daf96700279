//go:build unix

package local

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// A group is a process group led by the command.
type group struct{}

// ownGroup makes cmd the leader of a new process group.
func ownGroup(cmd *exec.Cmd) (*group, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr)
	return &group{}, nil
}

func (*group) started(*exec.Cmd) error       { return nil }
func (*group) interrupt(cmd *exec.Cmd) error { return signalGroup(cmd, syscall.SIGINT) }
func (*group) kill(cmd *exec.Cmd)            { signalGroup(cmd, syscall.SIGKILL) }
func (*group) close()                        {}

func signalGroup(cmd *exec.Cmd, sig syscall.Signal) error {
	err := syscall.Kill(-cmd.Process.Pid, sig)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

func signalNumber(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return int(w.Signal())
	}
	return 0
}
