package sbom

import (
	"bytes"
	"fmt"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// cycloneDX is the bill in the form CycloneDX 1.6.
func (d *bill) cycloneDX() ([]byte, error) {
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{
		Timestamp: d.created(),
		Tools:     &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "airbuild", Version: toolName + "-" + toolVersion}}},
		Component: d.root(),
	}
	if d.sp.Supplier != "" {
		bom.Metadata.Supplier = &cdx.OrganizationalEntity{Name: d.sp.Supplier}
	}
	components, depends := []cdx.Component{}, []cdx.Dependency{}
	rootUses := []string{}
	for i := range d.programs {
		p := &d.programs[i]
		if d.kind == "application" {
			rootUses = p.uses
			continue
		}
		components = append(components, p.component())
		rootUses = append(rootUses, p.id())
		depends = append(depends, cdx.Dependency{Ref: p.id(), Dependencies: &p.uses})
	}
	for _, m := range d.modules {
		components = append(components, m.component())
		depends = append(depends, cdx.Dependency{Ref: m.PURL()})
	}
	depends = append([]cdx.Dependency{{Ref: bom.Metadata.Component.BOMRef, Dependencies: &rootUses}}, depends...)
	bom.Components, bom.Dependencies = &components, &depends
	text, err := encode(bom)
	if err != nil {
		return nil, err
	}
	bom.SerialNumber = "urn:uuid:" + identity(text)
	return encode(bom)
}

func encode(bom *cdx.BOM) ([]byte, error) {
	var b bytes.Buffer
	e := cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false)
	if err := e.EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return nil, fmt.Errorf("encode CycloneDX: %w", err)
	}
	return append(bytes.TrimRight(b.Bytes(), "\n"), '\n'), nil
}

// root is what the bill is about.
func (d *bill) root() *cdx.Component {
	c := &cdx.Component{BOMRef: "file:" + d.name, Type: cdx.ComponentType(d.kind), Name: d.name, Version: d.version}
	if d.sha256 != "" {
		c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: d.sha256}}
	}
	if d.kind == "application" {
		p := &d.programs[0]
		c.PackageURL = p.main.PURL()
		c.Licenses = p.main.choice()
		c.Properties = p.properties()
	}
	return c
}

func (p *program) component() cdx.Component {
	return cdx.Component{
		BOMRef: p.id(), Type: cdx.ComponentTypeApplication, Name: p.Path, Version: p.main.Version, PackageURL: p.main.PURL(),
		Hashes:   &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: p.SHA256}},
		Licenses: p.main.choice(), Properties: p.properties(),
	}
}

// settings of a build that say what was built.
var settings = [...]string{"GOOS", "GOARCH", "GOAMD64", "GOARM", "GOARM64", "CGO_ENABLED", "-buildmode", "-tags", "vcs.revision"}

func (p *program) properties() *[]cdx.Property {
	list := []cdx.Property{{Name: "go:version", Value: p.Info.GoVersion}, {Name: "go:package", Value: p.Info.Path}}
	for _, key := range settings {
		if v := p.Setting(key); v != "" {
			list = append(list, cdx.Property{Name: "go:" + strings.TrimPrefix(key, "-"), Value: v})
		}
	}
	return &list
}

func (m *part) component() cdx.Component {
	c := cdx.Component{BOMRef: m.PURL(), Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: m.PURL(), Scope: cdx.ScopeRequired, Licenses: m.choice()}
	var list []cdx.Property
	// The sum is of a list of files, and no hash of a file that one could get.
	for _, p := range [][2]string{{"go:sum", m.Sum}, {"go:replaces", m.Replaces}} {
		if p[1] != "" {
			list = append(list, cdx.Property{Name: p[0], Value: p[1]})
		}
	}
	if list != nil {
		c.Properties = &list
	}
	return c
}

// choice is a part's licence: declared by its files, or concluded by the user.
func (m *part) choice() *cdx.Licenses {
	if m.license == "" {
		return nil
	}
	ack := cdx.LicenseAcknowledgementDeclared
	if m.said {
		ack = cdx.LicenseAcknowledgementConcluded
	}
	if strings.Contains(m.license, " ") || m.said {
		return &cdx.Licenses{{Expression: m.license, Acknowledgement: &ack}}
	}
	return &cdx.Licenses{{License: &cdx.License{ID: m.license, Acknowledgement: ack}}}
}
