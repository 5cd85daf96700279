package tasks

import (
	"fmt"
	"strconv"
	"strings"
)

// MetaSchema describes what every stage has, whatever its type: the
// meta-arguments.
func MetaSchema() *Schema {
	return &Schema{
		Doc: "Arguments that every stage accepts.",
		Attrs: []Attr{
			{Name: "matrix", Kind: Any, Doc: "An object of axes, each a list of values: the stage has a cell for each combination. The axis `platform` also gives os, arch, variant and exe."},
			{Name: "include", Kind: Any, Doc: "A list of objects: additional values for matching cells of the matrix, or additional cells."},
			{Name: "exclude", Kind: Any, Doc: "A list of objects: cells that have all values of one of them are removed."},
			{Name: "for_each", Kind: Any, Doc: "A stage, a list of stages or cells, or a list, set or map of values: the stage has a cell for each."},
			{Name: "after", Kind: Any, Doc: "A list of stages that must finish first, without using their outputs."},
			{Name: "when", Kind: Bool, Default: "true", Doc: "Whether the cell exists."},
			{Name: "description", Kind: String, Doc: "A description, shown by `airbuild list`."},
			{Name: "dir", Kind: String, Default: "the Airbuildfile's directory", Doc: "The working directory of the stage, to which its paths are relative."},
			{Name: "env", Kind: StringMap, Doc: "Environment variables of the stage's commands; part of the cache key."},
			{Name: "pass_env", Kind: Strings, Doc: "Names of environment variables to pass through; their values are part of the cache key."},
			{Name: "inputs", Kind: Paths, Doc: "Files, patterns (`!` excludes) and other stages' outputs that the stage reads."},
			{Name: "timeout", Kind: Duration, Default: "none", Doc: "Time limit for a step."},
			{Name: "retries", Kind: Number, Default: "0", Doc: "How many times a failed step is retried."},
			{Name: "cache", Kind: Bool, Default: "true", Doc: "Whether results are read from and written to the cache."},
		},
		Blocks: []Nested{
			{Type: "sandbox", Doc: "Access of the stage's commands to the network and to files.", Attrs: []Attr{
				{Name: "network", Kind: Bool, Doc: "Whether the commands may use the network."},
				{Name: "inputs", Kind: String, Enum: []string{"declared", "workspace"}, Doc: "Whether the commands see only the declared inputs, or the whole project."},
			}},
			{Type: "resources", Doc: "Resources that a step uses.", Attrs: []Attr{
				{Name: "cpu", Kind: Number, Default: "1", Doc: "Job slots."},
				{Name: "memory", Kind: String, Doc: "Memory that a step needs, such as \"2GiB\"."},
			}},
		},
	}
}

// sizeUnits are the units of memory, in bytes.
var sizeUnits = [...]struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// ParseSize parses "2GiB" into bytes; the error is a sentence for the user.
func ParseSize(s string) (int64, error) {
	number, unit := strings.TrimSpace(s), int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if bytes := n * float64(unit); err == nil && bytes > 0 && bytes < 1<<60 {
		return int64(bytes), nil
	}
	return 0, fmt.Errorf("%q is not a size: write a number with its unit, as in \"512MiB\" or \"2GiB\".", s)
}
