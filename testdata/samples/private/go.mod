module example.com/app

go 1.26.0

require example.com/private/greet v1.0.0
