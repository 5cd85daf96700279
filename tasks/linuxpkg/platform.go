package linuxpkg

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/tasks"
)

// planArch finds the architecture as nfpm takes it: Go's name, with the
// version of arm behind it. Each format has its own word for it: amd64 is
// x86_64 in an rpm, arm v7 is armhf in a deb and armv7hl in an rpm.
func planArch(b *tasks.Block, get lookup, p *pkg) hcl.Diagnostics {
	if b.Platform != nil && b.Platform.OS != "linux" {
		return hcl.Diagnostics{b.Error("", "Package for "+b.Platform.OS,
			fmt.Sprintf("%s packages are for Linux, and this cell's platform is %s. Leave such cells out: when = each.os == \"linux\".", p.Format, b.Platform.OS))}
	}
	if attr := get.attr("arch"); b.Has(attr) {
		p.Arch = b.String(attr)
		if !isWord(p.Arch, "_-.") {
			return hcl.Diagnostics{b.Error(attr, "Not an architecture", `Want a name such as "amd64", "arm64" or "all".`)}
		}
		return nil
	}
	if b.Platform == nil {
		return hcl.Diagnostics{b.Error("arch", "No architecture",
			`The architecture is unknown. Use for_each over a go_build stage, or set arch, such as arch = "all".`)}
	}
	p.Arch = b.Platform.Arch
	switch variant := b.Platform.Variant; {
	case p.Arch == "arm" && (strings.HasPrefix(variant, "v5") || strings.HasSuffix(variant, ",softfloat")):
		p.Arch += "5" // no floating-point unit
	case p.Arch == "arm" && strings.HasPrefix(variant, "v6"):
		p.Arch += "6"
	case p.Arch == "arm":
		p.Arch += "7"
	case p.Arch == "amd64" && variant != "" && variant != "v1":
		p.Variant = variant
	}
	return nil
}

// isWord reports whether s is letters, digits and the given others.
func isWord(s, others string) bool {
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune(others, r) {
			return false
		}
	}
	return s != ""
}
