//go:build !unix && !windows

package local

import (
	"os"
	"os/exec"
)

// A group is the process alone where the system has neither process groups nor
// job objects.
type group struct{}

func ownGroup(*exec.Cmd) (*group, error) { return &group{}, nil }

func (*group) started(*exec.Cmd) error       { return nil }
func (*group) interrupt(cmd *exec.Cmd) error { return cmd.Process.Kill() }
func (*group) kill(cmd *exec.Cmd)            { cmd.Process.Kill() }
func (*group) close()                        {}

func signalNumber(*os.ProcessState) int { return 0 }
