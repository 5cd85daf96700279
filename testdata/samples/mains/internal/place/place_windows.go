package place

const name = "Windows"
