package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
)

// signals returns a context that the first interrupt or termination signal
// cancels: what runs is stopped politely, and the store is left usable. The
// second one ends the program at once, when the terminal has been tidied.
func (a *app) signals(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	ended := make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			select {
			case <-ended:
				return
			case <-ch:
			}
			if n == 0 {
				cancel()
				continue
			}
			a.abandon()
			os.Exit(exit.Interrupted)
		}
	}()
	return ctx, sync.OnceFunc(func() {
		signal.Stop(ch)
		close(ended)
		cancel()
	})
}
