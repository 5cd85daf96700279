// Package cacheprog is the process that the go command starts to have its compile
// cache served.
package cacheprog

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine/gocache"
	"github.com/airbuild/airbuild/engine/store"
)

// Serve serves one go command, on in and out, and returns the exit code. It
// does not fail: what is wrong is a miss, and told in the report.
func Serve(args []string, in io.Reader, out, errOut io.Writer) int {
	// An interrupt goes to the whole process group. The go command ends in its
	// own time, and this with it, by the end of its input.
	signal.Ignore(os.Interrupt, syscall.SIGTERM)
	// It lives for seconds and needs little: collecting costs more than it saves.
	debug.SetGCPercent(400)
	f := flag.NewFlagSet(project.CompileCacheArg, flag.ContinueOnError)
	f.SetOutput(errOut)
	dir := f.String("store", "", "the store's directory")
	reports := f.String("report", "", "the directory for the report")
	ambient := f.String("ambient", "", "the user's own GOCACHE")
	salts := f.String("salts", "", "what distinguishes entries of this step")
	checks := f.String("checks", "", "what distinguishes findings of go vet")
	scope := f.String("scope", "", "the scope of the project's results")
	paranoid := f.Bool("paranoid", false, "read every object that is used")
	if err := f.Parse(args); err != nil || *dir == "" || *reports == "" {
		fmt.Fprintf(errOut, "airbuild %s is started by the go command, for airbuild\n", project.CompileCacheArg)
		return exit.Usage
	}
	apart, err := gocache.ParseSalts(*salts)
	checked, err2 := gocache.ParseSalts(*checks)
	if err = errors.Join(err, err2); err == nil && len(checked) > 1 {
		err = errors.New("-checks: want one salt")
	}
	if err != nil {
		fmt.Fprintf(errOut, "airbuild: %v\n", err)
		return exit.Usage
	}
	within, err := store.ParseScope(*scope)
	if err != nil {
		fmt.Fprintf(errOut, "airbuild: %v\n", err)
		return exit.Usage
	}
	mark, err := gocache.Begin(*reports)
	end := func(r *gocache.Report) error { return mark.End(r) }
	if err != nil {
		fmt.Fprintf(errOut, "airbuild: %v\n", err)
		end = func(*gocache.Report) error { return nil }
	}
	srv := &gocache.Server{Dir: *dir, Ambient: *ambient, Salts: apart, Temp: os.Getenv("GOTMPDIR")}
	if len(checked) > 0 {
		srv.Checks = checked[0]
	}
	if s, err := store.Open(*dir); err != nil {
		srv.Note(err.Error())
	} else {
		defer s.Close()
		s.Paranoid, s.Scope = *paranoid, within
		srv.Store = s
	}
	if err := srv.Serve(context.Background(), in, out, end); err != nil {
		fmt.Fprintf(errOut, "airbuild: %v\n", err)
	}
	return 0
}
