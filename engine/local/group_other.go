//go:build !unix

package local

import (
	"os"
	"os/exec"
)

// A group is the process alone where the system has no process groups.
type group struct{}

func ownGroup(*exec.Cmd) group { return group{} }

func (group) interrupt(cmd *exec.Cmd) error { return cmd.Process.Kill() }
func (group) kill(cmd *exec.Cmd)            { cmd.Process.Kill() }

func signalNumber(*os.ProcessState) int { return 0 }
