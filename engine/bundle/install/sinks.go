package install

import (
	"context"
	"errors"
	"fmt"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/internal/lists"
)

// A sinkSet is where the components of a bundle go.
type sinkSet struct {
	open   func(component string) (Sink, error)
	names  []string        // of the components that are wanted
	byName map[string]Sink // by component
	all    []Sink          // each once
}

func openSinks(components []bundle.RootComponent, open func(component string) (Sink, error)) (*sinkSet, error) {
	l := &sinkSet{open: open, byName: map[string]Sink{}}
	seen := map[Sink]bool{}
	for _, c := range components {
		s, err := open(c.Name)
		if err != nil {
			return nil, fmt.Errorf("component %s: %w", c.Name, err)
		}
		if s == nil {
			continue
		}
		l.names = append(l.names, c.Name)
		l.byName[c.Name] = s
		if !seen[s] {
			seen[s] = true
			l.all = append(l.all, s)
		}
	}
	return l, nil
}

// of is the sink of a component, of this bundle or of another.
func (l *sinkSet) of(component string) (Sink, error) {
	if s, ok := l.byName[component]; ok {
		return s, nil
	}
	return l.open(component)
}

// ids are the IDs of the sinks by component.
func (l *sinkSet) ids() map[string]string {
	ids := map[string]string{}
	for name, s := range l.byName {
		ids[name] = s.ID()
	}
	return ids
}

func (l *sinkSet) flush(ctx context.Context) error {
	return errors.Join(lists.Map(l.all, func(s Sink) error { return s.Flush(ctx) })...)
}
