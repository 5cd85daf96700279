# go_check: is the module in order?
#
#   pipeline "check" {
#     use = "go_check"
#   }

variable "test" {
  type        = bool
  default     = true
  description = "Whether to run the tests"
}

stage "go_tidy" "tidy" {
  description = "Check that go.mod and go.sum match the imports"
  mode        = "check"
}

stage "go_vet" "vet" {
  description = "go vet: mistakes that the compiler accepts"
}

stage "go_test" "test" {
  description = "The tests of all packages"
  when        = var.test
}

pipeline "go_check" {
  description = "Tidy modules, vet, tests"
  stages      = [stage.tidy, stage.vet, stage.test]
}
