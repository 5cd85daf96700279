package action

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/airbuild/airbuild/internal/lists"
)

// A Change is one difference between two manifests. Old is empty where the
// line was Added, New where it was Removed; both are false for a line whose
// value changed.
type Change struct {
	Kind, Name, Old, New string
	Added, Removed       bool
}

// Parts takes the change of an argument apart where both sides are JSON objects,
// as stages without a program write their settings: a change for each field that
// differs, in the order of their names. It is nil for all other changes.
func (c Change) Parts() []Change {
	was, is := fields(c.Old), fields(c.New)
	if c.Kind != KindArg || was == nil || is == nil {
		return nil
	}
	all := maps.Clone(was)
	maps.Copy(all, is)
	var parts []Change
	for _, name := range slices.Sorted(maps.Keys(all)) {
		x, had := was[name]
		y, has := is[name]
		if !bytes.Equal(x, y) || had != has {
			parts = append(parts, Change{Kind: c.Kind, Name: c.Name + " " + name, Old: string(x), New: string(y), Added: !had, Removed: !has})
		}
	}
	return parts
}

// Settings are the names in a changed argument: the fields of Parts, or the flag
// that it is, such as "-ldflags". It is nil where there is no such name.
func (c Change) Settings() []string {
	names := lists.Map(c.Parts(), func(p Change) string { return strings.TrimPrefix(p.Name, c.Name+" ") })
	if names != nil || c.Kind != KindArg {
		return names
	}
	for _, arg := range []string{c.New, c.Old} {
		if name, _, _ := strings.Cut(arg, "="); len(name) > 1 && name[0] == '-' && name != "--" {
			return []string{name}
		}
	}
	return nil
}

// fields are those of a JSON object, or nil if arg is none.
func fields(arg string) map[string]json.RawMessage {
	if !strings.HasPrefix(arg, "{") {
		return nil
	}
	var m map[string]json.RawMessage
	if json.Unmarshal([]byte(arg), &m) != nil {
		return nil
	}
	return m
}

// Diff returns what changed from old to new, in the order of the manifests.
// Arguments are aligned, so that one more in the middle is one change; all
// other lines are paired by kind and name.
func Diff(old, new []Line) []Change {
	changes := diffArgs(arguments(old), arguments(new))
	return append(changes, diffNamed(old, new)...)
}

func arguments(lines []Line) []string {
	var args []string
	for _, l := range lines {
		if l.Kind == KindArg {
			args = append(args, l.Value)
		}
	}
	return args
}

type lineName struct{ kind, name string }

// diffNamed compares lines other than arguments. A name may occur more than
// once (two facts about one tool): equal values are paired first, then what is
// left by order.
func diffNamed(old, new []Line) []Change {
	was, is := values(old), values(new)
	var names []lineName
	for _, l := range slices.Concat(old, new) {
		n := lineName{l.Kind, l.Name}
		if l.Kind != KindArg && (len(names) == 0 || names[len(names)-1] != n) {
			names = append(names, n)
		}
	}
	var changes []Change
	done := map[lineName]bool{}
	for _, n := range names {
		if !done[n] {
			done[n] = true
			changes = append(changes, diffValues(n, was[n], is[n])...)
		}
	}
	slices.SortStableFunc(changes, func(x, y Change) int { return kindOrder(x.Kind) - kindOrder(y.Kind) })
	return changes
}

func kindOrder(kind string) int {
	return slices.Index([]string{KindArg, KindEnv, KindDir, KindOutput, KindPlatform, KindFact, KindOption, KindInput}, kind)
}

func values(lines []Line) map[lineName][]string {
	m := make(map[lineName][]string, len(lines))
	for _, l := range lines {
		n := lineName{l.Kind, l.Name}
		m[n] = append(m[n], l.Value)
	}
	return m
}

func diffValues(n lineName, was, is []string) []Change {
	if slices.Equal(was, is) {
		return nil
	}
	gone, come := without(was, is), without(is, was)
	var changes []Change
	for i := range max(len(gone), len(come)) {
		c := Change{Kind: n.kind, Name: n.name, Added: i >= len(gone), Removed: i >= len(come)}
		if !c.Added {
			c.Old = gone[i]
		}
		if !c.Removed {
			c.New = come[i]
		}
		changes = append(changes, c)
	}
	if len(changes) == 0 { // the same values in another order
		for i := range was {
			if was[i] != is[i] {
				changes = append(changes, Change{Kind: n.kind, Name: n.name, Old: was[i], New: is[i]})
			}
		}
	}
	return changes
}

// without returns the values of list less those of other, each as often as it
// occurs there.
func without(list, other []string) []string {
	count := map[string]int{}
	for _, v := range other {
		count[v]++
	}
	var rest []string
	for _, v := range list {
		if count[v]--; count[v] < 0 {
			rest = append(rest, v)
		}
	}
	return rest
}

// maxAlign bounds the table of the alignment: command lines that differ in
// more than a thousand places are compared by position.
const maxAlign = 1 << 20

// diffArgs aligns two argument lists by their longest common subsequence. The
// name of a change is a position in was, or in is for what was added.
func diffArgs(was, is []string) []Change {
	head := 0
	for head < min(len(was), len(is)) && was[head] == is[head] {
		head++
	}
	tail := 0
	for tail < min(len(was), len(is))-head && was[len(was)-1-tail] == is[len(is)-1-tail] {
		tail++
	}
	a, b := was[head:len(was)-tail], is[head:len(is)-tail]
	var changes []Change
	i, j := 0, 0
	for _, m := range append(align(a, b), [2]int{len(a), len(b)}) {
		changes = append(changes, argGap(head+i, head+j, a[i:m[0]], b[j:m[1]])...)
		i, j = m[0]+1, m[1]+1
	}
	return changes
}

// argGap reports the arguments between two that are common: pairs are changes,
// the rest was added or removed.
func argGap(i, j int, a, b []string) []Change {
	var changes []Change
	for k := range max(len(a), len(b)) {
		c := Change{Kind: KindArg, Name: strconv.Itoa(i + k), Added: k >= len(a), Removed: k >= len(b)}
		if c.Added {
			c.Name = strconv.Itoa(j + k)
		} else {
			c.Old = a[k]
		}
		if !c.Removed {
			c.New = b[k]
		}
		changes = append(changes, c)
	}
	return changes
}

// align returns the positions of a longest common subsequence of a and b.
func align(a, b []string) [][2]int {
	if len(a) == 0 || len(b) == 0 || len(a)*len(b) > maxAlign {
		return nil
	}
	width := len(b) + 1
	length := make([]int32, (len(a)+1)*width) // of the best for a[i:], b[j:]
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				length[i*width+j] = length[(i+1)*width+j+1] + 1
			} else {
				length[i*width+j] = max(length[(i+1)*width+j], length[i*width+j+1])
			}
		}
	}
	var pairs [][2]int
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			pairs = append(pairs, [2]int{i, j})
			i, j = i+1, j+1
		case length[(i+1)*width+j] >= length[i*width+j+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}
