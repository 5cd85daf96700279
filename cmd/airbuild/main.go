// Command airbuild builds and releases Go software from an Airbuildfile.
package main

import (
	"os"
	"runtime"

	"github.com/airbuild/airbuild/engine/sandbox"
	"github.com/airbuild/airbuild/engine/trace"
)

func main() {
	sandbox.Main()
	trace.Main()
	if len(os.Args) > 1 && os.Args[1] == goCacheProg {
		os.Exit(serveGo(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	floor := newHeapFloor(os.LookupEnv)
	s := streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}
	if len(os.Args) == 2 && os.Args[1] == rebuildArg {
		os.Exit(rebuildElsewhere(s))
	}
	code := run(os.Args[1:], s)
	runtime.KeepAlive(floor)
	os.Exit(code)
}
