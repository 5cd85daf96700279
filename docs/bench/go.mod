module github.com/airbuild/airbuild/docs/bench

go 1.26
