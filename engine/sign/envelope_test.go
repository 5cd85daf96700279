package sign

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The example of the DSSE protocol document.
func TestPAE(t *testing.T) {
	got := string(PAE("http://example.com/HelloWorld", []byte("hello world")))
	if want := "DSSEv1 29 http://example.com/HelloWorld 11 hello world"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func envelope(t testing.TB, keys ...*SecretKey) *Envelope {
	t.Helper()
	e, err := NewEnvelope("application/x-test", []byte("payload"), keys...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEnvelopeThreshold(t *testing.T) {
	a, b, c := testKey(t, 1), testKey(t, 2), testKey(t, 3)
	pa, pb, pc := a.Public(), b.Public(), c.Public()
	alias := pa // the same key under an id of its own
	alias.id = 77
	impostor := pc // another key under the id of a
	impostor.id = pa.id
	both := envelope(t, b, a)
	forged := envelope(t, a)
	forged.Signatures = append(forged.Signatures, EnvelopeSignature{pb.id.String(), forged.Signatures[0].Sig})
	renamed := envelope(t, a)
	renamed.Signatures = append(renamed.Signatures, EnvelopeSignature{alias.id.String(), renamed.Signatures[0].Sig})
	other := envelope(t, a, b)
	other.Payload = []byte("changed")
	retyped := envelope(t, a, b)
	retyped.PayloadType = "application/x-other"
	unnamed := envelope(t, a)
	unnamed.Signatures[0].KeyID = ""
	for _, tt := range []struct {
		name    string
		e       *Envelope
		n       int
		trusted []PublicKey
		want    []PublicKey
		words   string
	}{
		{"one of one", envelope(t, a), 1, []PublicKey{pa}, []PublicKey{pa}, ""},
		{"two of two", both, 2, []PublicKey{pa, pb, pc}, []PublicKey{pa, pb}, ""},
		{"two of one", envelope(t, a), 2, []PublicKey{pa, pb}, []PublicKey{pa}, "1 of 2 needed"},
		{"a key twice in the keyring", envelope(t, a), 2, []PublicKey{pa, pa}, []PublicKey{pa}, "1 of 2"},
		{"a key under two ids", renamed, 2, []PublicKey{pa, alias}, []PublicKey{pa}, "1 of 2"},
		{"another key of that id first", envelope(t, a), 1, []PublicKey{impostor, pa}, []PublicKey{pa}, ""},
		{"another key of that id only", envelope(t, a), 1, []PublicKey{impostor}, nil, "not over these bytes"},
		{"signature under another name", forged, 2, []PublicKey{pa, pb}, []PublicKey{pa}, "1 of 2"},
		{"bytes", other, 1, []PublicKey{pa, pb}, nil, "is not over these bytes"},
		{"type", retyped, 1, []PublicKey{pa, pb}, nil, "is not over these bytes"},
		{"stranger", envelope(t, c), 1, []PublicKey{pa}, nil, "which is not trusted"},
		{"no name", unnamed, 1, []PublicKey{pb, pa}, []PublicKey{pa}, ""},
		{"no signature", envelope(t), 1, []PublicKey{pa}, nil, "it is not signed"},
		{"nobody is trusted", envelope(t, a), 1, nil, nil, "not trusted"},
	} {
		got, err := tt.e.Verify(tt.n, tt.trusted...)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: signed by %v", tt.name, got)
		}
		if tt.words == "" && err != nil || tt.words != "" && (!errors.Is(err, ErrUnverified) || !strings.Contains(err.Error(), tt.words)) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := both.Verify(0, pa); err == nil {
		t.Error("a threshold of 0 verifies")
	}
}

func TestSignTwiceIsOnce(t *testing.T) {
	a, b := testKey(t, 1), testKey(t, 2)
	e := envelope(t, a, b)
	if err := e.Sign(a); err != nil || len(e.Signatures) != 2 {
		t.Fatalf("%d signatures, %v", len(e.Signatures), err)
	}
	one, _ := e.Encode()
	two, _ := envelope(t, b, a).Encode()
	if !bytes.Equal(one, two) {
		t.Errorf("%s\n%s", one, two)
	}
}

func TestParseEnvelope(t *testing.T) {
	sig := base64.StdEncoding.EncodeToString(make([]byte, ed25519.SignatureSize))
	for _, tt := range []struct{ name, json, words string }{
		{"plain", `{"payload":"aGk=","payloadType":"t/x","signatures":[{"keyid":"k","sig":"` + sig + `"}]}`, ""},
		{"spaces and order", " {\"signatures\" : [ ] ,\n\"payloadType\":\"t/x\",\t\"payload\":\"aGk=\"} \n", ""},
		{"unknown fields", `{"x":[1,{"y":null}],"payload":"aGk=","payloadType":"t/x","signatures":[{"sig":"","cert":"z"}]}`, ""},
		{"url alphabet", `{"payload":"-_8=","payloadType":"t/x","signatures":[]}`, ""},
		{"escapes", `{"payl\u006fad":"aGk=","payloadType":"t/x","signatures":[]}`, ""},
		{"twice", `{"payload":"aGk=","payload":"aGk=","payloadType":"t/x","signatures":[]}`, "twice"},
		{"unknown twice", `{"x":1,"x":2,"payload":"aGk=","payloadType":"t/x","signatures":[]}`, "twice"},
		{"sig twice", `{"payload":"","payloadType":"t/x","signatures":[{"sig":"","sig":""}]}`, "twice"},
		{"other case", `{"Payload":"aGk=","payloadType":"t/x","signatures":[]}`, `no "payload"`},
		{"no sig", `{"payload":"","payloadType":"t/x","signatures":[{"keyid":""}]}`, `no "sig"`},
		{"no signatures", `{"payload":"","payloadType":"t/x"}`, `no "signatures"`},
		{"null", `{"payload":null,"payloadType":"t/x","signatures":[]}`, "in quotes"},
		{"number", `{"payload":1,"payloadType":"t/x","signatures":[]}`, "in quotes"},
		{"list", `[]`, `want "{"`},
		{"behind", `{"payload":"","payloadType":"t/x","signatures":[]}{}`, "data follows it"},
		{"base64", `{"payload":"a","payloadType":"t/x","signatures":[]}`, "base64"},
		{"bits behind base64", `{"payload":"aGl=","payloadType":"t/x","signatures":[]}`, "base64"},
		{"type", `{"payload":"","payloadType":"a b","signatures":[]}`, "payload type"},
		{"no type", `{"payload":"","payloadType":"","signatures":[]}`, "payload type"},
		{"key id", `{"payload":"","payloadType":"t/x","signatures":[{"keyid":"\u001b[1m","sig":""}]}`, "plain ASCII"},
		{"not UTF-8", "{\"payload\":\"\",\"payloadType\":\"t/x\",\"signatures\":[],\"x\":\"\xff\"}", "UTF-8"},
		{"cut", `{"payload":"","payloadType":"t/x","signatures":[`, "not a DSSE envelope"},
		{"empty", ``, "not a DSSE envelope"},
		{"deep", `{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `,"payload":"","payloadType":"t/x","signatures":[]}`, "too deep"},
		{"many", `{"payload":"","payloadType":"t/x","signatures":[` + strings.Repeat(`{"sig":""},`, MaxSignatures) + `{"sig":""}]}`, "more than 64"},
	} {
		_, err := ParseEnvelope([]byte(tt.json))
		if tt.words == "" && err != nil || tt.words != "" && (!errors.Is(err, ErrUnverified) || !strings.Contains(err.Error(), tt.words)) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := ParseEnvelope([]byte(strings.Repeat(" ", MaxEnvelope+1))); !errors.Is(err, ErrUnverified) {
		t.Errorf("too long: %v", err)
	}
}

// Our canonical form is what encoding/json gives for sorted keys.
func TestEncodeIsCanonical(t *testing.T) {
	b, err := envelope(t, testKey(t, 1), testKey(t, 2)).Encode()
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if want, _ := json.Marshal(v); !bytes.Equal(b, want) {
		t.Errorf("%s\nwant %s", b, want)
	}
}

func TestSealRefuses(t *testing.T) {
	for _, typ := range []string{"", "a b", "a\"b", strings.Repeat("x", 300), "ü"} {
		if _, err := NewEnvelope(typ, nil, testKey(t, 1)); err == nil {
			t.Errorf("type %q is taken", typ)
		}
	}
	var keys []*SecretKey
	for i := range MaxSignatures + 1 {
		keys = append(keys, testKey(t, byte(i)))
	}
	if _, err := NewEnvelope("t/x", nil, keys...); err == nil {
		t.Error("too many signatures are made")
	}
}

func TestCovers(t *testing.T) {
	ctx, k := context.Background(), testKey(t, 1)
	statement, err := FileStatement("a.tar.gz", sha256.Sum256([]byte("hello")), `x < "y"`)
	if err != nil {
		t.Fatal(err)
	}
	if want := `"predicate":{"comment":"x < \"y\""}`; !strings.Contains(string(statement), want) {
		t.Errorf("%s has no %s", statement, want)
	}
	e, err := NewEnvelope(PayloadStatement, statement, k)
	if err != nil {
		t.Fatal(err)
	}
	if e.Comment() != `x < "y"` {
		t.Errorf("comment %q", e.Comment())
	}
	inline, bad := envelope(t, k), &Envelope{PayloadType: PayloadStatement, Payload: []byte("{")}
	for _, tt := range []struct {
		e       *Envelope
		content string
		words   string
	}{
		{e, "hello", ""},
		{e, "hullo", `about other files: "a.tar.gz"`},
		{e, string(statement), ""},
		{inline, "payload", ""},
		{inline, "hello", "holds other bytes, of type application/x-test"},
		{bad, "hello", "cannot be read"},
	} {
		err := tt.e.Covers(ctx, strings.NewReader(tt.content))
		if tt.words == "" && err != nil || tt.words != "" && (!errors.Is(err, ErrUnverified) || !strings.Contains(err.Error(), tt.words)) {
			t.Errorf("%s: %v", tt.content, err)
		}
	}
}

// What is decoded is encoded to what is decoded again, and canonical bytes to
// themselves.
func FuzzParseEnvelope(f *testing.F) {
	e := envelope(f, testKey(f, 1), testKey(f, 2))
	canonical, err := e.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(canonical)
	f.Add([]byte(`{"x":[{}],"payload":"-_8=","payloadType":"t/x","signatures":[{"keyid":"","sig":"aGk="}]}`))
	trusted := testKey(f, 1).Public()
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEnvelope(b)
		if err != nil {
			if !errors.Is(err, ErrUnverified) {
				t.Fatalf("%v is not ErrUnverified", err)
			}
			return
		}
		one, err := e.Encode()
		if err != nil {
			t.Fatalf("encode what was decoded: %v", err)
		}
		again, err := ParseEnvelope(one)
		if err != nil {
			t.Fatalf("decode what was encoded: %v\n%s", err, one)
		}
		if two, err := again.Encode(); err != nil || !bytes.Equal(one, two) {
			t.Fatalf("%v\n%s\n%s", err, one, two)
		}
		if _, err := e.Verify(1, trusted); err == nil && (string(e.Payload) != "payload" || e.PayloadType != "application/x-test") {
			t.Fatalf("verified: %v", e)
		}
		_ = fmt.Sprint(e.Comment(), e.Covers(context.Background(), strings.NewReader("x")))
	})
}
