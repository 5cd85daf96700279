package pipelines

import (
	"maps"
	"slices"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/approval"
	"github.com/airbuild/airbuild/tasks/archive"
	"github.com/airbuild/airbuild/tasks/changelog"
	"github.com/airbuild/airbuild/tasks/checksum"
	"github.com/airbuild/airbuild/tasks/compress"
	"github.com/airbuild/airbuild/tasks/deploy"
	"github.com/airbuild/airbuild/tasks/golang"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
	"github.com/airbuild/airbuild/tasks/linuxpkg"
	"github.com/airbuild/airbuild/tasks/manifest"
	"github.com/airbuild/airbuild/tasks/oci"
	"github.com/airbuild/airbuild/tasks/provenance"
	"github.com/airbuild/airbuild/tasks/publish"
	"github.com/airbuild/airbuild/tasks/sbom"
	"github.com/airbuild/airbuild/tasks/shell"
	"github.com/airbuild/airbuild/tasks/sign"
	"github.com/airbuild/airbuild/tasks/template"
)

// ExternalSettings holds the settings of stage types whose work lies outside the project.
type ExternalSettings struct {
	Deploy   deploy.Config
	Approval approval.Config
	Publish  publish.Config
}

// Tasks returns every stage type by its name.
func Tasks(cfg *gocmd.Config, keys *sign.Config, out *ExternalSettings) map[string]tasks.Task {
	byType := map[string]tasks.Task{}
	for _, t := range slices.Concat(
		golang.Tasks(cfg), archive.Tasks(), checksum.Tasks(), changelog.Tasks(), manifest.Tasks(),
		template.Tasks(), shell.Tasks(), compress.Tasks(), sign.Tasks(keys), linuxpkg.Tasks(),
		oci.Tasks(), sbom.Tasks(), provenance.Tasks(keys), deploy.Tasks(), approval.Tasks(&out.Approval), publish.Tasks(),
	) {
		byType[t.Schema().Type] = t
	}
	return byType
}

// Tools returns every in-process tool that the stage types' steps name. The
// Configs are those of Tasks.
func Tools(cfg *gocmd.Config, keys *sign.Config, out *ExternalSettings) map[string]engine.Tool {
	tools := map[string]engine.Tool{}
	for _, leaf := range []map[string]engine.Tool{
		golang.Tools(cfg), archive.Tools(), checksum.Tools(), changelog.Tools(), manifest.Tools(),
		template.Tools(), shell.Tools(), compress.Tools(), sign.Tools(keys), linuxpkg.Tools(),
		oci.Tools(), sbom.Tools(), provenance.Tools(keys), deploy.Tools(&out.Deploy), approval.Tools(&out.Approval), publish.Tools(&out.Publish),
	} {
		maps.Copy(tools, leaf)
	}
	return tools
}
