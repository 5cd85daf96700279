package load

import (
	"fmt"
	"go/ast"
	"go/token"
)

// experiments evaluates the part of the toolchain's own function that says
// which experiments are on for a target when nobody asks for any: everything
// up to the literal of the baseline. It knows the few forms of statements that
// this function is made of; anything else is an error.
func experiments(fn *ast.FuncDecl, goos, goarch string) ([]string, error) {
	e := &evaluator{text: map[string]string{"goos": goos, "goarch": goarch},
		truth: map[string]bool{"true": true, "false": false}}
	for _, s := range fn.Body.List {
		if lit := baseline(s); lit != nil {
			return e.enabled(lit)
		}
		if err := e.statement(s); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("no baseline")
}

// baseline returns the literal of `baseline := goexperiment.Flags{…}`.
func baseline(s ast.Stmt) *ast.CompositeLit {
	as, ok := s.(*ast.AssignStmt)
	if !ok || len(as.Lhs) != 1 || len(as.Rhs) != 1 {
		return nil
	}
	id, ok := as.Lhs[0].(*ast.Ident)
	if !ok || id.Name != "baseline" {
		return nil
	}
	lit, _ := as.Rhs[0].(*ast.CompositeLit)
	return lit
}

// An evaluator holds the variables of the function.
type evaluator struct {
	text  map[string]string
	truth map[string]bool
}

func (e *evaluator) enabled(lit *ast.CompositeLit) ([]string, error) {
	var on []string
	for _, el := range lit.Elts {
		kv, ok := el.(*ast.KeyValueExpr)
		if !ok {
			return nil, fmt.Errorf("unknown form of baseline")
		}
		id, ok := kv.Key.(*ast.Ident)
		if !ok {
			return nil, fmt.Errorf("unknown form of baseline")
		}
		v, err := e.bool(kv.Value)
		if err != nil {
			return nil, err
		}
		if v {
			on = append(on, id.Name)
		}
	}
	return on, nil
}

func (e *evaluator) statement(s ast.Stmt) error {
	switch s := s.(type) {
	case *ast.DeclStmt:
		return e.declare(s)
	case *ast.AssignStmt:
		if len(s.Lhs) != 1 || len(s.Rhs) != 1 {
			break
		}
		id, ok := s.Lhs[0].(*ast.Ident)
		if !ok {
			break
		}
		v, err := e.bool(s.Rhs[0])
		e.truth[id.Name] = v
		return err
	case *ast.SwitchStmt:
		return e.choose(s)
	}
	return fmt.Errorf("unknown statement %T", s)
}

// declare handles `var a, b bool`.
func (e *evaluator) declare(s *ast.DeclStmt) error {
	d, ok := s.Decl.(*ast.GenDecl)
	if !ok || d.Tok != token.VAR {
		return fmt.Errorf("unknown declaration")
	}
	for _, spec := range d.Specs {
		v, ok := spec.(*ast.ValueSpec)
		if !ok || len(v.Values) > 0 {
			return fmt.Errorf("unknown declaration")
		}
		if id, ok := v.Type.(*ast.Ident); !ok || id.Name != "bool" {
			return fmt.Errorf("unknown declaration")
		}
		for _, name := range v.Names {
			e.truth[name.Name] = false
		}
	}
	return nil
}

// choose handles a switch over goos or goarch.
func (e *evaluator) choose(s *ast.SwitchStmt) error {
	tag, ok := s.Tag.(*ast.Ident)
	if !ok || s.Init != nil {
		return fmt.Errorf("unknown switch")
	}
	value, ok := e.text[tag.Name]
	if !ok {
		return fmt.Errorf("unknown switch")
	}
	for _, c := range s.Body.List {
		clause, ok := c.(*ast.CaseClause)
		if !ok || clause.List == nil {
			return fmt.Errorf("unknown case")
		}
		var hit bool
		for _, x := range clause.List {
			lit, ok := stringLit(x)
			if !ok {
				return fmt.Errorf("unknown case")
			}
			hit = hit || lit == value
		}
		if !hit {
			continue
		}
		for _, s := range clause.Body {
			if err := e.statement(s); err != nil {
				return err
			}
		}
		return nil
	}
	return nil
}

// bool evaluates a condition.
func (e *evaluator) bool(x ast.Expr) (bool, error) {
	switch x := x.(type) {
	case *ast.ParenExpr:
		return e.bool(x.X)
	case *ast.Ident:
		if v, ok := e.truth[x.Name]; ok {
			return v, nil
		}
	case *ast.UnaryExpr:
		if x.Op == token.NOT {
			v, err := e.bool(x.X)
			return !v, err
		}
	case *ast.BinaryExpr:
		return e.binary(x)
	}
	return false, fmt.Errorf("unknown condition %T", x)
}

func (e *evaluator) binary(x *ast.BinaryExpr) (bool, error) {
	if x.Op == token.EQL || x.Op == token.NEQ {
		id, ok := x.X.(*ast.Ident)
		lit, ok2 := stringLit(x.Y)
		if !ok || !ok2 {
			return false, fmt.Errorf("unknown comparison")
		}
		value, ok := e.text[id.Name]
		if !ok {
			return false, fmt.Errorf("unknown variable %s", id.Name)
		}
		return (value == lit) == (x.Op == token.EQL), nil
	}
	a, err := e.bool(x.X)
	if err != nil {
		return false, err
	}
	b, err := e.bool(x.Y)
	switch x.Op {
	case token.LAND:
		return a && b, err
	case token.LOR:
		return a || b, err
	}
	return false, fmt.Errorf("unknown operator %s", x.Op)
}
