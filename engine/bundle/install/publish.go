package install

import (
	"context"
	"maps"
	"time"

	"github.com/airbuild/airbuild/engine/bundle/custody"
	"github.com/airbuild/airbuild/engine/bundle/internal/files"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/internal/atomicfile"
)

// publish writes the event and then the reference. The event comes first: a
// crash between the two makes it appear twice, but no import is without one.
func (m *importer) publish(ctx context.Context) error {
	e := custody.Event{
		Kind: custody.Imported, Subject: "sha256:" + m.done.Digest, Name: m.src.Root.Name,
		Time: m.o.Time.UTC().Format(time.RFC3339), Actor: m.o.Actor,
		Details: map[string]string{"index": m.src.Root.Index.Digest},
	}
	if m.src.Root.Custody != nil {
		e.Details["custody"] = m.src.Root.Custody.Digest
	}
	if err := custody.Append(ctx, custody.File(m.o.Cache), e, m.o.Key); err != nil {
		return err
	}
	return m.refer()
}

// referAgain is refer for a bundle that was imported before, if its components
// now belong to other sinks that happen to have all of it.
func (m *importer) referAgain() error {
	for name, id := range m.sinks.ids() {
		if m.earlier[name] != id {
			return m.refer()
		}
	}
	return nil
}

// refer writes what stays of the bundle itself, the reference last.
func (m *importer) refer() error {
	dir := bundlesDir(m.o.Cache)
	ids := m.earlier
	if ids == nil {
		ids = map[string]string{}
	}
	maps.Copy(ids, m.sinks.ids())
	sinks, err := format.EncodeCanonical(ids)
	if err != nil {
		return err
	}
	type part struct {
		suffix string
		text   []byte
	}
	parts := []part{{indexSuffix, m.b.IndexBlob()}, {sinksSuffix, sinks}}
	if m.b.Envelope() != nil {
		text, err := m.b.Envelope().Encode()
		if err != nil {
			return err
		}
		parts = append(parts, part{envelopeSuffix, text})
	}
	if m.b.CustodyBytes() != nil {
		parts = append(parts, part{custodySuffix, m.b.CustodyBytes()})
	}
	for _, f := range parts {
		if err := files.WriteBytes(dir, m.done.Digest+f.suffix, f.text); err != nil {
			return err
		}
	}
	if err := atomicfile.SyncDir(dir); err != nil {
		return err
	}
	if err := files.WriteBytes(dir, m.done.Digest+refSuffix, m.b.RootBytes()); err != nil {
		return err
	}
	return atomicfile.SyncDir(dir)
}
