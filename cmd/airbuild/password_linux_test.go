package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
)

// openTerminal returns both ends of a new terminal.
func openTerminal(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("this host has no terminals: %v", err)
	}
	t.Cleanup(func() { user.Close() })
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return user, program
}

func echoes(f *os.File) bool {
	state, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil && state.Lflag&unix.ECHO != 0
}

// waitForSilence waits until the terminal shows nothing that is typed.
func waitForSilence(t *testing.T, f *os.File) {
	t.Helper()
	for range 1000 {
		if !echoes(f) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("the terminal still shows what is typed")
}

func TestPasswordOfTerminal(t *testing.T) {
	for _, tt := range []struct {
		typed string
		want  string
		words string
	}{
		{"pass word\npass word\n", "pass word", ""},
		{"one\ntwo\n", "", "not the same; nothing was made"},
		{"\n", "", "the password is empty"},
	} {
		user, program := openTerminal(t)
		var shown bytes.Buffer
		a := &app{streams: streams{in: program, err: &shown}, flags: flags{Options: project.Options{LookupEnv: func(string) (string, bool) { return "", false }}}}
		go func() {
			waitForSilence(t, program)
			user.WriteString(tt.typed) // what is not read stays for the next question
		}()
		got, err := a.newPassword(t.Context(), "site")
		if got != tt.want || tt.words == "" && err != nil || tt.words != "" && (err == nil || !strings.Contains(err.Error(), tt.words)) {
			t.Errorf("%q: %q, %v", tt.typed, got, err)
		}
		if !strings.HasPrefix(shown.String(), "password for the new key site: \n") || strings.Contains(shown.String(), "pass word") {
			t.Errorf("shown: %q", shown.String())
		}
	}
}

// Who is interrupted gets the terminal back as it was.
func TestPasswordIsInterrupted(t *testing.T) {
	_, program := openTerminal(t)
	a := &app{streams: streams{in: program, err: &bytes.Buffer{}}, flags: flags{Options: project.Options{LookupEnv: func(string) (string, bool) { return "", false }}}}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		waitForSilence(t, program)
		cancel()
	}()
	if _, err := a.keyPassword(ctx, "site")(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if !echoes(program) {
		t.Error("the terminal no longer shows what is typed")
	}
}
