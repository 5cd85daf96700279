package main

import (
	"fmt"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/rebuild"
)

// rebuildElsewhere is the process that builds again.
func rebuildElsewhere(s streams) int {
	fail := func(err error) int {
		code, _ := exit.Code(err)
		fmt.Fprintln(s.err, "airbuild:", err)
		return code
	}
	w, err := rebuild.Enter(s.in)
	if err != nil {
		return fail(err)
	}
	s.in = strings.NewReader("")
	a := newApp(s)
	a.Vary, a.Source = w.Vary, w.Source
	if a.Tracer, err = w.Tracer(); err != nil {
		return fail(err)
	}
	return a.main(w.Args)
}
