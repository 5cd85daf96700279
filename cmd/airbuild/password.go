package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
)

// passwordEnv names the variable with the password of secret keys. There is no
// flag for it: other users see a program's arguments.
const passwordEnv = "AIRBUILD_KEY_PASSWORD"

// errNoTerminal says that there is nobody to ask for a password.
var errNoTerminal = errors.New("there is no terminal to ask for a password on; set " + passwordEnv)

// newPassword asks for the password of a new key, twice.
func (a *app) newPassword(ctx context.Context, name string) (string, error) {
	if word, ok := a.LookupEnv(passwordEnv); ok {
		if word == "" {
			return "", exit.UsageError("%s is empty.\nFor a key without a password: airbuild key new %s --no-password", passwordEnv, name)
		}
		return word, nil
	}
	word, err := a.askPassword(ctx, "password for the new key "+name)
	if errors.Is(err, errNoTerminal) {
		return "", exit.UsageError("%w.\nFor a key without a password: airbuild key new %s --no-password", err, name)
	}
	if err != nil {
		return "", err
	}
	if word == "" {
		return "", exit.UsageError("the password is empty.\nFor a key without a password: airbuild key new %s --no-password", name)
	}
	again, err := a.askPassword(ctx, "repeat the password")
	if err != nil {
		return "", err
	}
	if again != word {
		return "", exit.UsageError("the two passwords are not the same; nothing was made")
	}
	return word, nil
}

// keyPassword is the password of a secret key: from the environment, or asked
// for on the terminal. It is what a Keyring's Secret takes.
func (a *app) keyPassword(ctx context.Context, name string) func() (string, error) {
	return func() (string, error) {
		if word, _ := a.LookupEnv(passwordEnv); word != "" {
			return word, nil
		}
		return a.askPassword(ctx, "password of the key "+name)
	}
}

// askPassword reads a line from the terminal without showing it, and the
// prompt is on err. Live output makes room for it. If ctx ends meanwhile the
// terminal is left as it was; the goroutine that reads stays until the line or
// the program ends.
func (a *app) askPassword(ctx context.Context, prompt string) (string, error) {
	in, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", errNoTerminal
	}
	if s := a.shown.Load(); s != nil {
		defer ui.Pause(*s)()
	}
	state, err := term.GetState(int(in.Fd()))
	if err != nil {
		return "", fmt.Errorf("ask for a password: %w", err)
	}
	defer term.Restore(int(in.Fd()), state)
	fmt.Fprintf(a.err, "%s: ", human.OneLine(prompt))
	defer fmt.Fprintln(a.err)
	type answer struct {
		word []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		word, err := term.ReadPassword(int(in.Fd()))
		answers <- answer{word, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case got := <-answers:
		if got.err != nil {
			return "", fmt.Errorf("ask for a password: %w", got.err)
		}
		return string(got.word), nil
	}
}
