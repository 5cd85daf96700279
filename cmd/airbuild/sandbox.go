package main

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/engine/sandbox"
)

// sandboxing is how the steps of this run are kept apart.
type sandboxing struct {
	strict, off bool
	host        *sandbox.Host // made when first asked for
}

func (b *sandboxing) declare(f *pflag.FlagSet) {
	f.BoolVar(&b.strict, "strict", false, "run nothing on a host that cannot keep steps from the network and from undeclared files")
	f.BoolVar(&b.off, "no-sandbox", false, "run steps without the sandbox (for hosts where it does not work)")
}

// declareOff is for commands that run nothing: the keys of some steps depend on it.
func (b *sandboxing) declareOff(f *pflag.FlagSet) {
	f.BoolVar(&b.off, "no-sandbox", false, "show what run --no-sandbox would use")
}

// sandbox is the host's, or nil if it is not wanted.
func (a *app) sandbox() *sandbox.Host {
	if a.boxes.off {
		return nil
	}
	if a.boxes.host == nil {
		a.boxes.host = &sandbox.Host{}
	}
	return a.boxes.host
}

// refuseOpenHost fails if --strict asks for what this host cannot do.
func (a *app) refuseOpenHost(ctx context.Context) error {
	if !a.boxes.strict {
		return nil
	}
	if a.boxes.off {
		return exit.UsageError("--strict and --no-sandbox contradict each other")
	}
	if s := a.sandbox().Support(ctx); !s.Complete() {
		return exit.With(exit.Failed, fmt.Errorf("--strict: %s.\nNothing was run. Without --strict the steps run as far as this host can keep them apart.", s.Notice()))
	}
	return ctx.Err()
}

// private are the directories that steps with declared inputs must not see:
// the user's home and the cache.
func (s *session) private() []string {
	dirs := []string{s.store.Dir()}
	if home, ok := s.app.lookupEnv("HOME"); ok && home != "" && home != "/" {
		dirs = append(dirs, home)
	}
	return dirs
}
