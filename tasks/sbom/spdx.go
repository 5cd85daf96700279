package sbom

import (
	"fmt"
	"strings"

	"github.com/airbuild/airbuild/internal/canonjson"
)

// The form SPDX 2.3 is written from these few types: the published Go library
// would bring a converter between all its versions, YAML and RDF, for a
// document of two dozen fields. Tests hold them against the published schema.
type spdxDocument struct {
	Version   string         `json:"spdxVersion"`
	License   string         `json:"dataLicense"`
	ID        string         `json:"SPDXID"`
	Name      string         `json:"name"`
	Namespace string         `json:"documentNamespace"`
	Creation  spdxCreation   `json:"creationInfo"`
	Packages  []spdxPackage  `json:"packages"`
	Relations []spdxRelation `json:"relationships"`
}

type spdxCreation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	ID        string         `json:"SPDXID"`
	Name      string         `json:"name"`
	Version   string         `json:"versionInfo,omitempty"`
	FileName  string         `json:"packageFileName,omitempty"`
	Supplier  string         `json:"supplier,omitempty"`
	Location  string         `json:"downloadLocation"`
	Analyzed  bool           `json:"filesAnalyzed"`
	Checksums []spdxChecksum `json:"checksums,omitempty"`
	Source    string         `json:"sourceInfo,omitempty"`
	Concluded string         `json:"licenseConcluded"`
	Declared  string         `json:"licenseDeclared"`
	Copyright string         `json:"copyrightText"`
	Refs      []spdxRef      `json:"externalRefs,omitempty"`
	Purpose   string         `json:"primaryPackagePurpose,omitempty"`
}

type spdxChecksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type spdxRef struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxRelation struct {
	From string `json:"spdxElementId"`
	Type string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

const noAssertion = "NOASSERTION"

// spdx is the bill in the form SPDX 2.3.
func (d *bill) spdx() ([]byte, error) {
	doc := &spdxDocument{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: d.name,
		Creation: spdxCreation{Created: d.created(), Creators: []string{"Tool: airbuild-" + toolName + "-" + toolVersion}},
	}
	if d.sp.Supplier != "" {
		doc.Creation.Creators = append(doc.Creation.Creators, "Organization: "+d.sp.Supplier)
	}
	root := d.spdxRoot()
	doc.Packages = append(doc.Packages, root)
	doc.relate(doc.ID, "DESCRIBES", root.ID)
	ids := map[string]string{}
	for i := range d.modules {
		ids[d.modules[i].PURL()] = fmt.Sprintf("SPDXRef-Module-%d", i+1)
	}
	for i := range d.programs {
		p := &d.programs[i]
		id := root.ID
		if d.kind != "application" {
			id = fmt.Sprintf("SPDXRef-Program-%d", i+1)
			doc.Packages = append(doc.Packages, d.spdxProgram(p, id, p.Path))
			doc.relate(root.ID, "CONTAINS", id)
		}
		for _, use := range p.uses {
			doc.relate(id, "DEPENDS_ON", ids[use])
		}
	}
	for i := range d.modules {
		m := &d.modules[i]
		doc.Packages = append(doc.Packages, m.spdx(ids[m.PURL()]))
	}
	text, err := canonjson.Indented(doc)
	if err != nil {
		return nil, err
	}
	doc.Namespace = d.sp.Namespace + "/" + strings.NewReplacer(" ", "_", "#", "_", "%", "_").Replace(d.name) + "-" + identity(text)
	return canonjson.Indented(doc)
}

func (doc *spdxDocument) relate(from, kind, to string) {
	doc.Relations = append(doc.Relations, spdxRelation{from, kind, to})
}

func (d *bill) spdxRoot() spdxPackage {
	const id = "SPDXRef-File"
	if d.kind == "application" {
		return d.spdxProgram(&d.programs[0], id, d.name)
	}
	p := spdxPackage{
		ID: id, Name: d.name, Version: d.version, FileName: d.name, Location: noAssertion,
		Concluded: noAssertion, Declared: noAssertion, Copyright: noAssertion, Purpose: strings.ToUpper(d.kind),
	}
	if d.kind == "file" {
		p.Purpose = "ARCHIVE"
	}
	if d.sha256 != "" {
		p.Checksums = []spdxChecksum{{"SHA256", d.sha256}}
	}
	if d.sp.Supplier != "" {
		p.Supplier = "Organization: " + d.sp.Supplier
	}
	return p
}

func (d *bill) spdxProgram(p *program, id, name string) spdxPackage {
	out := p.main.spdx(id)
	out.Name, out.FileName, out.Purpose = name, name, "APPLICATION"
	out.Checksums = []spdxChecksum{{"SHA256", p.SHA256}}
	out.Source = fmt.Sprintf("built by %s for %s from %s", p.Info.GoVersion, p.Platform(), p.Info.Path)
	out.Location = noAssertion
	if d.sp.Supplier != "" {
		out.Supplier = "Organization: " + d.sp.Supplier
	}
	return out
}

func (m *part) spdx(id string) spdxPackage {
	p := spdxPackage{
		ID: id, Name: m.Path, Version: m.Version, Location: noAssertion, Concluded: noAssertion, Declared: noAssertion, Copyright: noAssertion, Purpose: "LIBRARY",
		Refs: []spdxRef{{"PACKAGE-MANAGER", "purl", m.PURL()}},
	}
	switch {
	case m.license != "" && m.said:
		p.Concluded = m.license
	case m.license != "":
		p.Declared = m.license
	}
	var source []string
	if m.Sum != "" {
		source = append(source, "go.sum "+m.Sum)
	}
	if m.Replaces != "" {
		source = append(source, "replaces "+m.Replaces)
	}
	p.Source = strings.Join(source, "; ")
	return p
}
