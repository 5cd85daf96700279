module example.com/workspace/app

go 1.26.0

tool example.com/workspace/lib/cmd/mkconst

require example.com/workspace/lib v0.0.0
