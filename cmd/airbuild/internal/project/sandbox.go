package project

import (
	"context"
	"fmt"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/engine/sandbox"
)

// Sandboxing is how the steps of this run are kept apart.
type Sandboxing struct {
	Strict, Off bool
	shared      *sandbox.Host // made when first asked for
}

// Host is this host's sandbox, or nil if it is not wanted.
func (b *Sandboxing) Host() *sandbox.Host {
	if b.Off {
		return nil
	}
	if b.shared == nil {
		b.shared = &sandbox.Host{}
	}
	return b.shared
}

// RefuseOpenHost fails if --strict asks for what this host cannot do.
func (s *Session) RefuseOpenHost(ctx context.Context) error {
	b := &s.Options.Sandbox
	if !b.Strict {
		return nil
	}
	if b.Off {
		return exit.UsageError("--strict and --no-sandbox contradict each other")
	}
	if s := b.Host().Support(ctx); !s.Complete() {
		return exit.With(exit.Failed, fmt.Errorf("--strict: %s.\nNothing was run. Without --strict the steps run as far as this host can keep them apart.", s.Notice()))
	}
	return ctx.Err()
}

// private are the directories that steps with declared inputs must not see:
// the user's home and the cache.
func (s *Session) private() []string {
	dirs := []string{s.Store.Dir()}
	if home, ok := s.Options.LookupEnv("HOME"); ok && home != "" && home != "/" {
		dirs = append(dirs, home)
	}
	return dirs
}
