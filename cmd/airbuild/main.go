// Command airbuild builds and releases Go software from an Airbuildfile.
package main

import (
	"os"
	"runtime"

	"github.com/airbuild/airbuild/engine/sandbox"
)

func main() {
	sandbox.Main()
	if len(os.Args) > 1 && os.Args[1] == goCacheProg {
		os.Exit(serveGo(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	floor := newHeapFloor(os.LookupEnv)
	code := run(os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	runtime.KeepAlive(floor)
	os.Exit(code)
}
