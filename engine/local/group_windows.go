package local

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// A group is a job object that holds the command and everything that it starts.
// The system ends all of them when the job's last handle is closed, and the only
// one is airbuild's: killing airbuild leaves nothing running.
type group struct {
	mu  sync.Mutex
	job windows.Handle // 0 after close
}

// ownGroup makes a job for cmd. The command starts suspended, because a process
// that it starts before it is in the job would not be in it; started resumes it.
// It leads a console process group too, which is what can be interrupted.
func ownGroup(cmd *exec.Cmd) (*group, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("create job object: %w", err)
	}
	limits := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{LimitFlags: windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE},
	}
	if _, err := windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits))); err != nil {
		windows.CloseHandle(job)
		return nil, fmt.Errorf("set limits of job object: %w", err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_SUSPENDED | windows.CREATE_NEW_PROCESS_GROUP}
	return &group{job: job}, nil
}

// started puts the command, which Start has just started, into the job and lets
// it run. After an error the command has been killed.
func (g *group) started(cmd *exec.Cmd) error {
	var assigned error
	err := cmd.Process.WithHandle(func(h uintptr) { assigned = windows.AssignProcessToJobObject(g.job, windows.Handle(h)) })
	if err = errors.Join(err, assigned); err != nil {
		cmd.Process.Kill()
		return fmt.Errorf("put process into job object: %w", err)
	}
	if err := resume(uint32(cmd.Process.Pid)); err != nil {
		g.kill(cmd)
		return fmt.Errorf("resume process: %w", err)
	}
	return nil
}

// resume resumes the threads of a process that was created suspended: its first
// one, whose handle os/exec does not keep.
func resume(pid uint32) error {
	threads, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPTHREAD, 0)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(threads)
	found := false
	entry := windows.ThreadEntry32{Size: uint32(unsafe.Sizeof(windows.ThreadEntry32{}))}
	for err = windows.Thread32First(threads, &entry); err == nil; err = windows.Thread32Next(threads, &entry) {
		if entry.OwnerProcessID != pid {
			continue
		}
		thread, err := windows.OpenThread(windows.THREAD_SUSPEND_RESUME, false, entry.ThreadID)
		if err != nil {
			return err
		}
		_, err = windows.ResumeThread(thread)
		windows.CloseHandle(thread)
		if err != nil {
			return err
		}
		found = true
	}
	if !errors.Is(err, windows.ERROR_NO_MORE_FILES) {
		return err
	}
	if !found {
		return errors.New("it has no thread")
	}
	return nil
}

// interrupt asks the group to stop, with the event of Ctrl+Break: a new process
// group does not get that of Ctrl+C. Where no console delivers it, the group is
// killed.
func (g *group) interrupt(cmd *exec.Cmd) error {
	if windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(cmd.Process.Pid)) != nil {
		g.kill(cmd)
	}
	return nil
}

// kill ends all processes of the job.
func (g *group) kill(*exec.Cmd) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.job != 0 {
		windows.TerminateJobObject(g.job, 1)
	}
}

// close ends what is left of the group.
func (g *group) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	windows.CloseHandle(g.job)
	g.job = 0
}

func signalNumber(*os.ProcessState) int { return 0 }
