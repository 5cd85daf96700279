package host

import (
	"fmt"
	"slices"
	"strings"

	"github.com/klauspost/cpuid/v2"

	"github.com/airbuild/airbuild/internal/lists"
)

// cpu is the processor: its model, level and features.
func cpu() (model, level string, features []string) {
	model = strings.Join(strings.Fields(cpuid.CPU.BrandName), " ")
	switch {
	case cpuid.CPU.X64Level() > 0:
		level = fmt.Sprintf("v%d", cpuid.CPU.X64Level())
	default:
		if arm := armFeatures(); len(arm) > 0 {
			return model, armLevel(arm), arm
		}
	}
	for _, name := range cpuid.CPU.FeatureSet() {
		features = append(features, strings.ToLower(name))
	}
	return model, level, lists.Unique(features)
}

// armLevels are the features, by the kernel's names, that came with each level
// of the architecture and that a level below does not have.
var armLevels = []struct {
	level string
	needs []string
}{
	{"v8.1", []string{"atomics", "crc32", "asimdrdm"}},
	{"v8.2", []string{"dcpop"}},
	{"v8.3", []string{"fcma", "jscvt", "lrcpc"}},
	{"v8.4", []string{"dit", "flagm", "ilrcpc", "uscat"}},
	{"v8.5", []string{"sb", "flagm2", "frint"}},
	{"v9.0", []string{"sve2"}},
}

// armLevel is the highest level all of whose features, and those of the levels
// before it, are there. v8.6 and later, and v9.1 and later, cannot be told from
// these and count as the one before.
func armLevel(features []string) string {
	level := "v8.0"
	for _, l := range armLevels {
		for _, need := range l.needs {
			if !slices.Contains(features, need) {
				return level
			}
		}
		level = l.level
	}
	return level
}
