package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine/action"
)

// whyMissed says in a few words why a step is not a hit: the store's own reason if it
// has one, otherwise what differs from the step's last outcome here.
func whyMissed(ctx context.Context, st Store, p *Prepared, past []outcome, reason string) string {
	if reason != "" {
		return reason
	}
	if len(past) == 0 {
		return "first run here"
	}
	last, ok := otherKey(past, p.Key)
	if !ok || past[len(past)-1].Key == p.Key.String() {
		return "its result is no longer in the store"
	}
	changes, err := changesSince(ctx, st, p, last)
	if err != nil || len(changes) == 0 {
		return "its key changed"
	}
	return Summarize(changes)
}

// changesSince compares a prepared step with an earlier outcome.
func changesSince(ctx context.Context, st Store, p *Prepared, o outcome) ([]action.Change, error) {
	key, err := action.ParseDigest(o.Key)
	if err != nil {
		return nil, err
	}
	old, err := KeyParts(ctx, st, key)
	if err != nil {
		return nil, err
	}
	now, err := manifest(p)
	if err != nil {
		return nil, err
	}
	return action.Diff(old, now), nil
}

// KeyParts writes out the key of an action that was done before, from the bytes
// in the store.
func KeyParts(ctx context.Context, st Store, key action.Digest) ([]action.Line, error) {
	res, err := st.Result(ctx, key)
	if err != nil {
		return nil, err
	}
	if res == nil {
		return nil, fmt.Errorf("result %s is no longer in the store", key)
	}
	act, err := ReadBlob(ctx, st, key)
	if err != nil {
		return nil, err
	}
	a, err := action.UnmarshalAction(act)
	if err != nil {
		return nil, err
	}
	command, err := ReadBlob(ctx, st, a.Command)
	if err != nil {
		return nil, err
	}
	inputs, err := ReadBlob(ctx, st, res.Metadata.Inputs)
	if err != nil {
		return nil, err
	}
	return action.Explain(act, command, inputs)
}

// manifest writes out the key of a prepared step, from the bytes that are hashed.
func manifest(p *Prepared) ([]action.Line, error) {
	msg, err := p.Inputs.Message()
	if err != nil {
		return nil, err
	}
	return action.Explain(p.Action.Marshal(), p.Command.Marshal(), msg.Marshal())
}

// Summarize puts changes of a key into a line: the first two by name, the rest
// by number, files first. "go.mod and go.sum changed; 12 more".
func Summarize(changes []action.Change) string {
	var files, others []string
	args := false
	for _, c := range changes {
		switch c.Kind {
		case action.KindArg:
			if !args {
				others = append(others, commandLine(changes))
			}
			args = true
		case action.KindInput:
			files = append(files, strings.TrimPrefix(c.Name, ".airbuild/"))
		case action.KindDir:
			others = append(others, "working directory")
		case action.KindFact:
			others = append(others, fmt.Sprintf("%s (%s → %s)", c.Name, cmp.Or(short(c.Old), "none"), cmp.Or(short(c.New), "none")))
		default:
			others = append(others, c.Kind+" "+c.Name)
		}
	}
	switch parts := append(files, others...); len(parts) {
	case 0:
		return "nothing changed"
	case 1:
		return parts[0] + " changed"
	case 2:
		return parts[0] + " and " + parts[1] + " changed"
	default:
		return fmt.Sprintf("%s and %s changed; %d more", parts[0], parts[1], len(parts)-2)
	}
}

// commandLine names what changed in the command line, as far as it has names:
// "command line (time)".
func commandLine(changes []action.Change) string {
	const most = 2
	var names []string
	for _, c := range changes {
		for _, n := range c.Settings() {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	switch {
	case len(names) == 0:
		return "command line"
	case len(names) > most:
		names = append(names[:most], "…")
	}
	return "command line (" + strings.Join(names, ", ") + ")"
}

// short cuts a long value, such as a digest, for a line of text.
func short(s string) string {
	const most = 24
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
