// Command unicode prints files whose names are not plain ASCII.
package main

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:embed texte
var texte embed.FS

func main() {
	err := fs.WalkDir(texte, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			fmt.Println(name)
		}
		return err
	})
	if err != nil {
		fmt.Println("error:", err)
	}
}
