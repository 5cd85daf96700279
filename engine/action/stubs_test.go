package action_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	. "github.com/airbuild/airbuild/engine/action"
)

// The published stubs are imported by this test only. What they encode and
// what the package writes by hand must be the same bytes.

func digestStub(d Digest) *repb.Digest {
	if d.IsZero() {
		return nil
	}
	return &repb.Digest{Hash: d.Hex(), SizeBytes: d.Size}
}

func platformStub(list []Property) *repb.Platform {
	if len(list) == 0 {
		return nil
	}
	p := new(repb.Platform)
	for _, x := range list {
		p.Properties = append(p.Properties, &repb.Platform_Property{Name: x.Name, Value: x.Value})
	}
	return p
}

//lint:file-ignore SA1019 the bytes of fields that are deprecated count too

func commandStub(c *Command) *repb.Command {
	m := &repb.Command{
		Arguments: c.Arguments, OutputFiles: c.OutputFiles, OutputDirectories: c.OutputDirectories,
		OutputPaths: c.OutputPaths, Platform: platformStub(c.Platform), WorkingDirectory: c.WorkingDirectory,
		OutputDirectoryFormat: repb.Command_OutputDirectoryFormat(c.OutputDirectoryFormat),
	}
	for _, e := range c.Env {
		m.EnvironmentVariables = append(m.EnvironmentVariables, &repb.Command_EnvironmentVariable{Name: e.Name, Value: e.Value})
	}
	return m
}

func directoryStub(d *Directory) *repb.Directory {
	m := new(repb.Directory)
	for _, f := range d.Files {
		m.Files = append(m.Files, &repb.FileNode{Name: f.Name, Digest: digestStub(f.Digest), IsExecutable: f.Executable})
	}
	for _, n := range d.Directories {
		m.Directories = append(m.Directories, &repb.DirectoryNode{Name: n.Name, Digest: digestStub(n.Digest)})
	}
	for _, l := range d.Symlinks {
		m.Symlinks = append(m.Symlinks, &repb.SymlinkNode{Name: l.Name, Target: l.Target})
	}
	return m
}

func treeStub(t *Tree) *repb.Tree {
	m := &repb.Tree{Root: directoryStub(&t.Root)}
	for i := range t.Children {
		m.Children = append(m.Children, directoryStub(&t.Children[i]))
	}
	return m
}

func actionStub(a *Action) *repb.Action {
	m := &repb.Action{
		CommandDigest: digestStub(a.Command), InputRootDigest: digestStub(a.InputRoot),
		DoNotCache: a.DoNotCache, Salt: a.Salt, Platform: platformStub(a.Platform),
	}
	if a.Timeout != 0 {
		m.Timeout = durationpb.New(a.Timeout)
	}
	return m
}

func timeStub(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func metadataStub(t *testing.T, m *Metadata) *repb.ExecutedActionMetadata {
	if *m == (Metadata{}) {
		return nil
	}
	x := &repb.ExecutedActionMetadata{
		Worker:                      m.Worker,
		ExecutionStartTimestamp:     timeStub(m.ExecutionStart),
		ExecutionCompletedTimestamp: timeStub(m.ExecutionCompleted),
	}
	if !m.Inputs.IsZero() {
		value := encodeStub(t, digestStub(m.Inputs))
		x.AuxiliaryMetadata = []*anypb.Any{{TypeUrl: "type.googleapis.com/airbuild.v1.InputTree", Value: value}}
	}
	return x
}

func resultStub(t *testing.T, r *Result) *repb.ActionResult {
	m := &repb.ActionResult{
		ExitCode: r.ExitCode, StdoutRaw: r.StdoutRaw, StdoutDigest: digestStub(r.Stdout),
		StderrRaw: r.StderrRaw, StderrDigest: digestStub(r.Stderr), ExecutionMetadata: metadataStub(t, &r.Metadata),
	}
	for _, f := range r.OutputFiles {
		m.OutputFiles = append(m.OutputFiles, &repb.OutputFile{Path: f.Path, Digest: digestStub(f.Digest), IsExecutable: f.Executable})
	}
	for _, d := range r.OutputDirectories {
		m.OutputDirectories = append(m.OutputDirectories, &repb.OutputDirectory{
			Path: d.Path, TreeDigest: digestStub(d.Tree), RootDirectoryDigest: digestStub(d.Root),
			IsTopologicallySorted: d.IsTopologicallySorted,
		})
	}
	for _, l := range r.OutputSymlinks {
		m.OutputSymlinks = append(m.OutputSymlinks, &repb.OutputSymlink{Path: l.Path, Target: l.Target})
	}
	return m
}

// stub returns the published message for one of ours, and an empty one.
func stub(t *testing.T, v any) (full, empty proto.Message) {
	switch v := v.(type) {
	case Digest:
		return digestStub(v), new(repb.Digest)
	case *Command:
		return commandStub(v), new(repb.Command)
	case *Directory:
		return directoryStub(v), new(repb.Directory)
	case *Tree:
		return treeStub(v), new(repb.Tree)
	case *Action:
		return actionStub(v), new(repb.Action)
	case *Result:
		return resultStub(t, v), new(repb.ActionResult)
	}
	t.Fatalf("no stub for %T", v)
	return nil, nil
}

func encodeStub(t *testing.T, m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSameBytesAsStubs(t *testing.T) {
	for name, f := range formats {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 4))
			for i := range 500 {
				m := f.full()
				if i > 0 {
					m = f.random(r)
				}
				want, empty := stub(t, m.value)
				got := m.marshal()
				if b := encodeStub(t, want); !bytes.Equal(got, b) {
					t.Fatalf("value %d: %+v\ngot  %x\nwant %x", i, m.value, got, b)
				}
				if err := proto.Unmarshal(got, empty); err != nil || !proto.Equal(empty, want) {
					t.Fatalf("value %d: the stub reads %v, %v", i, empty, err)
				}
				if len(empty.ProtoReflect().GetUnknown()) > 0 {
					t.Fatalf("value %d: fields that the stub does not know", i)
				}
			}
		})
	}
}

// Fields that servers send and airbuild has no use for do not disturb it.
func TestServersFieldsAreSkipped(t *testing.T) {
	now := timestamppb.New(time.Unix(5, 6))
	m := resultStub(t, fullResult())
	m.OutputFiles[0].Contents = []byte("inline")
	m.OutputFiles[0].NodeProperties = &repb.NodeProperties{Mtime: now}
	m.ExecutionMetadata.QueuedTimestamp = now
	m.ExecutionMetadata.VirtualExecutionDuration = durationpb.New(3)
	m.ExecutionMetadata.AuxiliaryMetadata = append(m.ExecutionMetadata.AuxiliaryMetadata, &anypb.Any{TypeUrl: "other", Value: []byte{1}})
	got, err := UnmarshalResult(encodeStub(t, m))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Marshal(), fullResult().Marshal()) {
		t.Errorf("got %+v", got)
	}
}

// TreeDirectories keeps bytes that the decoder would lose.
func TestTreeDirectoriesKeepBytes(t *testing.T) {
	child := directoryStub(fullDirectory())
	child.NodeProperties = &repb.NodeProperties{Properties: []*repb.NodeProperty{{Name: "mode", Value: "1"}}}
	dirs, err := TreeDirectories(encodeStub(t, &repb.Tree{Root: &repb.Directory{}, Children: []*repb.Directory{child}}))
	if err != nil {
		t.Fatal(err)
	}
	if len(dirs) != 2 || !bytes.Equal(dirs[1], encodeStub(t, child)) {
		t.Errorf("got %x", dirs)
	}
}
