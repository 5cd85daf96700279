// Program is what the tests of bills of materials describe: it uses modules.
package main

import (
	"golang.org/x/mod/semver"
	"golang.org/x/text/language"
)

func main() { println(semver.IsValid("v1.0.0"), language.English.String()) }
