// Command airbuild builds and releases Go software from an Airbuildfile.
package main

import (
	"os"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/cacheprog"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/heap"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/rebuild"
	"github.com/airbuild/airbuild/engine/sandbox"
	"github.com/airbuild/airbuild/engine/trace"
	"github.com/airbuild/airbuild/tasks/golang/buildvcs"
)

func main() {
	buildvcs.Main()
	sandbox.Main()
	trace.Main()
	if len(os.Args) > 1 && os.Args[1] == project.CompileCacheArg {
		os.Exit(cacheprog.Serve(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	heap.Pace(os.LookupEnv)
	s := streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}
	if len(os.Args) == 2 && os.Args[1] == rebuild.Arg {
		os.Exit(rebuildElsewhere(s))
	}
	os.Exit(run(os.Args[1:], s))
}
