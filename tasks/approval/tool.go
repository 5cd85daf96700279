package approval

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/internal/canonjson"
	"github.com/airbuild/airbuild/tasks"
)

// A Config is what gates need in addition to their stages.
type Config struct {
	Environment string           // the chosen one: approvals are for it alone
	Now         func() time.Time // nil: time.Now
}

// An Approver is somebody whose approvals count.
type Approver struct {
	Name string // as the stage has it
	Key  sign.PublicKey
	// Limit says why approvals of the key do not count here: the keyring trusts it
	// for something else. Nil: they do.
	Limit error
}

// A discoverer finds the keys of names.
type discoverer struct {
	gate      Gate
	approvers []approver
}

// Discover implements engine.InputDiscoverer.
func (l *discoverer) Discover(context.Context, engine.Files) (engine.Discovery, error) {
	found, err := l.resolve()
	if err != nil {
		return engine.Discovery{}, err
	}
	out := engine.Discovery{Private: found}
	for _, a := range found {
		out.Facts = append(out.Facts, engine.Fact{Name: "approver " + a.Name, Value: a.Key.String()})
	}
	slices.SortFunc(out.Facts, func(a, b engine.Fact) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// KeyNames implements tasks.KeyNamer.
func (l *discoverer) KeyNames() (names []string) {
	for _, a := range l.approvers {
		if a.key.IsZero() {
			names = append(names, a.text)
		}
	}
	return names
}

func (l *discoverer) resolve() (found []Approver, err error) {
	for _, a := range l.approvers {
		key := a.key
		if key.IsZero() {
			e, err := sign.OpenKeyring(a.ring).Find(a.text)
			if errors.Is(err, sign.ErrNoKey) {
				return nil, fmt.Errorf("%s: the keyring %s has no key of the approver %q; trust it with: airbuild key trust FILE --name %s --for approval", a.at, a.ring, a.text, a.text)
			}
			if err == nil && e.Key.IsZero() {
				err = e.Err
			}
			if err != nil {
				return nil, fmt.Errorf("%s: approver %q: %w", a.at, a.text, err)
			}
			key = e.Key
		}
		if i := slices.IndexFunc(found, func(o Approver) bool { return o.Key.SameKey(key) }); i >= 0 {
			return nil, fmt.Errorf("%s: the approvers %q and %q have one key; one person counts once", a.at, found[i].Name, a.text)
		}
		limit := error(nil)
		if a.ring != "" {
			limit = sign.OpenKeyring(a.ring).Check(key, sign.Need{Purpose: sign.Approval})
		}
		found = append(found, Approver{a.text, key, limit})
	}
	return found, nil
}

// GateOf is what a step of this package wants, and who may approve.
func GateOf(s *engine.Step) (Gate, []Approver, error) {
	l, ok := s.Discoverer.(*discoverer)
	if !ok {
		return Gate{}, nil, fmt.Errorf("%s is not an approval", s.Name)
	}
	found, err := l.resolve()
	return l.gate, found, err
}

// A tool opens the gate, or says what is missing.
type tool struct{ cfg *Config }

func (t tool) Run(ctx context.Context, call *engine.ToolCall) error {
	var g Gate
	if err := tasks.ReadSpec(call, &g); err != nil {
		return err
	}
	approvers, err := tasks.Private[[]Approver](call)
	if err != nil {
		return err
	}
	now := time.Now
	if t.cfg.Now != nil {
		now = t.cfg.Now
	}
	subjects, err := g.Subjects(ctx, call.In)
	if err != nil {
		return err
	}
	submissions, err := g.Submissions(call.In, approvers, subjects, now())
	if err != nil {
		return fmt.Errorf("read approvals: %w", err)
	}
	counted := Counted(submissions)
	for _, v := range counted {
		fmt.Fprintf(call.Log, "approved by %s (key %s) at %s%s\n", v.Approver, v.Key.ID(), v.Approval.Time.Format(time.RFC3339), quoted(v.Approval.Comment))
	}
	if len(counted) < g.Threshold {
		return errors.New(g.refusal(approvers, subjects, submissions, counted))
	}
	record, err := canonjson.Compact(g.record(subjects, counted))
	if err != nil {
		return err
	}
	name := filepath.Join(call.Dir, filepath.FromSlash(g.Output))
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	return os.WriteFile(name, append(record, '\n'), 0o666)
}

func quoted(comment string) string {
	if comment == "" {
		return ""
	}
	return fmt.Sprintf(": %q", comment)
}

// Counted are the approvals that count, one for each approver, the latest, in
// the order of their names.
func Counted(submissions []Submission) []Submission {
	latest := map[string]Submission{}
	for _, v := range submissions {
		if old, ok := latest[v.Approver]; v.Err == nil && (!ok || old.Approval.Time.Before(v.Approval.Time)) {
			latest[v.Approver] = v
		}
	}
	var all []Submission
	for _, v := range latest {
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b Submission) int { return strings.Compare(a.Approver, b.Approver) })
	return all
}

// refusal says what is missing, and what to do.
func (g *Gate) refusal(approvers []Approver, subjects []sign.Subject, submissions, counted []Submission) string {
	var b strings.Builder
	fmt.Fprintf(&b, "not approved: %d of %d approvals", len(counted), g.Threshold)
	for _, v := range submissions {
		if v.Err != nil {
			fmt.Fprintf(&b, "\n  %s does not count: %v", v.Place, v.Err)
		}
	}
	var open []string
	for _, a := range approvers {
		if !slices.ContainsFunc(counted, func(v Submission) bool { return v.Approver == a.Name }) {
			open = append(open, a.Name)
		}
	}
	fmt.Fprintf(&b, "\n  may still approve: %s", strings.Join(open, ", "))
	for i, s := range subjects {
		if i == 10 {
			fmt.Fprintf(&b, "\n  and %d more files", len(subjects)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s  %s", s.Digest["sha256"], s.Name)
	}
	env := ""
	if g.Environment != "" {
		env = " --environment " + g.Environment
	}
	fmt.Fprintf(&b, "\nTo approve these files: airbuild approve %s%s --sign KEY", g.Stage, env)
	return b.String()
}

// A record is the output: who approved what. Fields stand in this order.
type record struct {
	Format      int              `json:"format"`
	Project     string           `json:"project"`
	Stage       string           `json:"stage"`
	Environment string           `json:"environment,omitempty"`
	Threshold   int              `json:"threshold"`
	Files       []approved       `json:"files"`
	Approvals   []approvalRecord `json:"approvals"`
}

type approved struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

type approvalRecord struct {
	Approver string     `json:"approver"` // as the stage lists them
	Key      string     `json:"key"`      // the public key
	Name     string     `json:"name"`     // what they call themselves
	Time     time.Time  `json:"time"`
	Expires  *time.Time `json:"expires,omitempty"`
	Comment  string     `json:"comment,omitempty"`
}

func (g *Gate) record(subjects []sign.Subject, counted []Submission) record {
	r := record{Format: 1, Project: g.Project, Stage: g.Stage, Environment: g.Environment, Threshold: g.Threshold}
	for _, s := range subjects {
		r.Files = append(r.Files, approved{s.Name, s.Digest["sha256"]})
	}
	for _, v := range counted {
		r.Approvals = append(r.Approvals, approvalRecord{v.Approver, v.Key.String(), v.Approval.Approver, v.Approval.Time.UTC(), v.Approval.Expires, v.Approval.Comment})
	}
	return r
}

// Keep returns the path that a key's approval is kept under, and the content of
// that file with the approval in it: in the place of an older one by the key,
// if the file has several. read reads a file of the project.
func (g *Gate) Keep(key sign.PublicKey, envelope []byte, read func(name string) ([]byte, error)) (name string, content []byte, err error) {
	if g.Dir {
		name = g.File + "/" + strings.ToLower(key.ID().String())
		if g.Environment != "" {
			name += "." + fileName(g.Environment)
		}
		return name + ".json", envelope, nil
	}
	old, err := read(g.File)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", nil, err
	}
	for line := range strings.Lines(string(old)) {
		if e, err := sign.ParseEnvelope([]byte(line)); err == nil && g.replaces(e, key) || strings.TrimSpace(line) == "" {
			continue
		}
		content = append(content, strings.TrimRight(line, "\n")+"\n"...)
	}
	return g.File, append(content, envelope...), nil
}

// replaces reports whether an older approval is by the key and for the same
// environment.
func (g *Gate) replaces(e *sign.Envelope, key sign.PublicKey) bool {
	if _, err := e.Verify(1, key); err != nil {
		return false
	}
	var a Approval
	st, err := e.Statement()
	return err == nil && st != nil && jsonInto(st.Predicate, &a) && a.Environment == g.Environment && a.Stage == g.Stage
}
