package approval

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/internal/canonjson"
	"github.com/airbuild/airbuild/internal/lists"
)

// Predicate is the type of the statements that approve.
const Predicate = "https://github.com/airbuild/airbuild/approval/v1"

const statementType = "https://in-toto.io/Statement/v1"

// An Approval is what somebody signs, beside the digests of the files. Fields
// stand in the order of canonical JSON.
type Approval struct {
	Approver    string     `json:"approver"` // what they call themselves; the key is what counts
	Comment     string     `json:"comment,omitempty"`
	Environment string     `json:"environment,omitempty"`
	Expires     *time.Time `json:"expires,omitempty"` // nil: never
	Project     string     `json:"project"`
	Stage       string     `json:"stage"`
	Time        time.Time  `json:"time"`
}

// Subjects are the digests of the gate's files, sorted by path.
func (g *Gate) Subjects(ctx context.Context, in fs.FS) ([]sign.Subject, error) {
	var names []string
	for _, file := range g.Files {
		err := fs.WalkDir(in, file, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir():
				return ctx.Err()
			case d.Type()&fs.ModeSymlink != 0:
				return fmt.Errorf("%s is a link; approve what it points to", name)
			}
			names = append(names, name)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read files to approve: %w", err)
		}
	}
	slices.Sort(names)
	var subjects []sign.Subject
	for _, name := range slices.Compact(names) {
		sum, err := action.OfFile(in.Open(name))
		if err != nil {
			return nil, fmt.Errorf("read files to approve: %w", err)
		}
		subjects = append(subjects, sign.Subject{Name: name, Digest: map[string]string{"sha256": sum.Hex()}})
	}
	if len(subjects) == 0 {
		return nil, errors.New("there is no file to approve: the directories are empty")
	}
	return subjects, nil
}

// Sign makes the envelope that says that the key's owner approves the files.
// The approval's project, stage and environment are the gate's.
func (g *Gate) Sign(subjects []sign.Subject, a Approval, key *sign.SecretKey) ([]byte, error) {
	a.Project, a.Stage, a.Environment = g.Project, g.Stage, g.Environment
	a.Time = a.Time.UTC().Truncate(time.Second)
	if a.Expires != nil {
		e := a.Expires.UTC().Truncate(time.Second)
		a.Expires = &e
	}
	predicate, err := canonjson.Compact(a)
	if err != nil {
		return nil, err
	}
	payload, err := canonjson.Compact(sign.Statement{Type: statementType, Predicate: predicate, PredicateType: Predicate, Subject: subjects})
	if err != nil {
		return nil, err
	}
	e, err := sign.NewEnvelope(sign.PayloadStatement, payload, key)
	if err != nil {
		return nil, err
	}
	b, err := e.Encode()
	return append(b, '\n'), err
}

// A Submission is one file or line of approvals, and whether it counts.
type Submission struct {
	Place string // "approvals/gate/1234.json", with a line for a file of several
	// Approver is who signed, as the stage lists them, and Key their key; both
	// empty if it was none of them.
	Approver string
	Key      sign.PublicKey
	Approval Approval
	Err      error // why it does not count
}

// maxSubmissions and maxSubmission bound what is read of approvals.
const (
	maxSubmissions = 1000
	maxSubmission  = 8 << 20 // bytes
)

// Submissions reads all approvals that there are. Who counts is in approvers.
func (g *Gate) Submissions(in fs.FS, approvers []Approver, subjects []sign.Subject, now time.Time) ([]Submission, error) {
	texts, err := g.texts(in)
	if err != nil {
		return nil, err
	}
	var submissions []Submission
	for _, t := range texts {
		v := Submission{Place: t.place}
		v.Err = g.judge(&v, t.text, approvers, subjects, now)
		submissions = append(submissions, v)
	}
	return submissions, nil
}

type placed struct {
	place string
	text  []byte
}

func (g *Gate) texts(in fs.FS) (texts []placed, err error) {
	if !g.Dir {
		b, err := fs.ReadFile(in, g.File)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		n := 0
		for line := range bytes.Lines(b) {
			if n++; len(bytes.TrimSpace(line)) > 0 {
				texts = append(texts, placed{fmt.Sprintf("%s:%d", g.File, n), line})
			}
		}
		return texts, tooMany(texts, err)
	}
	entries, err := fs.ReadDir(in, g.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		name := g.File + "/" + e.Name()
		if info, err := e.Info(); err == nil && info.Size() > maxSubmission {
			return nil, fmt.Errorf("%s is too large for an approval", name)
		}
		b, err := fs.ReadFile(in, name)
		if err != nil {
			return nil, err
		}
		texts = append(texts, placed{name, b})
	}
	return texts, tooMany(texts, nil)
}

func tooMany(texts []placed, err error) error {
	if err == nil && len(texts) > maxSubmissions {
		return fmt.Errorf("there are %d approvals, and no more than %d are read; remove old ones", len(texts), maxSubmissions)
	}
	return err
}

// judge says why an approval does not count, or nothing.
func (g *Gate) judge(v *Submission, text []byte, approvers []Approver, subjects []sign.Subject, now time.Time) error {
	e, err := sign.ParseEnvelope(text)
	if err != nil {
		return err
	}
	keys := lists.Map(approvers, func(a Approver) sign.PublicKey { return a.Key })
	signed, err := e.Verify(1, keys...)
	if err != nil {
		return fmt.Errorf("it is signed by none of the approvers: %w", err)
	}
	if len(signed) > 1 {
		return errors.New("it has several signatures; everybody signs an approval of their own")
	}
	i := slices.IndexFunc(approvers, func(a Approver) bool { return a.Key == signed[0] })
	v.Approver, v.Key = approvers[i].Name, signed[0]
	if approvers[i].Limit != nil {
		return approvers[i].Limit
	}
	st, err := e.Statement()
	if err != nil {
		return err
	}
	if st == nil || st.Type != statementType || st.PredicateType != Predicate {
		return errors.New("it is signed, and no approval")
	}
	d := json.NewDecoder(bytes.NewReader(st.Predicate))
	d.DisallowUnknownFields()
	if err := d.Decode(&v.Approval); err != nil {
		return fmt.Errorf("the approval cannot be read: %w", err)
	}
	return g.fits(&v.Approval, st.Subject, subjects, now)
}

// fits compares what was approved with what is to pass.
func (g *Gate) fits(a *Approval, approved, subjects []sign.Subject, now time.Time) error {
	switch {
	case a.Project != g.Project:
		return fmt.Errorf("it is for the project %q, and this is %q", a.Project, g.Project)
	case a.Stage != g.Stage:
		return fmt.Errorf("it is for the stage %q, and this is %q", a.Stage, g.Stage)
	case a.Environment != g.Environment:
		return fmt.Errorf("it is for the environment %q, and this is %q", a.Environment, g.Environment)
	case a.Expires != nil && !now.Before(*a.Expires):
		return fmt.Errorf("it expired at %s", a.Expires.UTC().Format(time.RFC3339))
	}
	was := map[string]string{}
	for _, s := range approved {
		if _, twice := was[s.Name]; twice || len(s.Digest) != 1 {
			return errors.New("the approval names a file twice, or without one SHA-256")
		}
		was[s.Name] = s.Digest["sha256"]
	}
	for _, s := range subjects {
		old, ok := was[s.Name]
		switch {
		case !ok:
			return fmt.Errorf("%s was not among the files that were approved", s.Name)
		case old != s.Digest["sha256"]:
			return fmt.Errorf("%s has changed since: sha256 %.12s… was approved, and it is %.12s…", s.Name, old, s.Digest["sha256"])
		}
		delete(was, s.Name)
	}
	if gone := slices.Sorted(maps.Keys(was)); len(gone) > 0 {
		return fmt.Errorf("approved files no longer exist: %s", strings.Join(gone, ", "))
	}
	return nil
}

func jsonInto(b []byte, v any) bool { return json.Unmarshal(b, v) == nil }
